"""Scoring texts: perplexity per word and token, bits per character, and each token's surprise.

With L the natural log-probability of a text and its end mark, M its words and punctuation marks and one end mark, K its
tokens and one end mark, N its characters: perplexity exp(-L/M), token perplexity exp(-L/K), bits per character
-L/(N ln 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.calls import Advance, Advanced, Score, Scored, Task
from app.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """One token (or, empty, the end mark), where it stands in the text, and how the model saw it."""

    text: str
    start: int
    end: int
    log_probability: float
    rank: int


@dataclass(frozen=True, slots=True)
class ScoredText:
    words: int
    characters: int
    log_probability: float
    tokens: list[ScoredToken]

    @property
    def perplexity(self) -> float:
        return perplexity(self.log_probability, self.words)

    @property
    def token_perplexity(self) -> float:
        return perplexity(self.log_probability, len(self.tokens))

    @property
    def bits_per_character(self) -> float:
        return bits_per_character(self.log_probability, self.characters)


def perplexity(log_probability: float, units: int) -> float:
    return math.exp(-log_probability / units)


def bits_per_character(log_probability: float, characters: int) -> float:
    return -log_probability / math.log(2) / characters


def score(model: LanguageModel, texts: Sequence[str], stars: int | None, ranks: bool) -> Task[list[ScoredText]]:
    """Scores each text as a whole review of this rating."""
    vocabulary = model.vocabulary
    encoded = [vocabulary.encode_with_offsets(text) for text in texts]
    opening = [[vocabulary.opening(stars)]]
    opened: Advanced = yield Advance(opening, model.initial_state(1))
    rows = [[*ids, vocabulary.end] for ids, _ in encoded]
    scored: Scored = yield Score(rows, opened.state.expand(len(texts), -1), ranks)
    result = []
    for text, (_, offsets), scores, places in zip(texts, encoded, scored.log_probabilities, scored.ranks, strict=True):
        spans = [*offsets, (len(text), len(text))]
        tokens = [
            ScoredToken(text[start:end], start, end, value, rank)
            for (start, end), value, rank in zip(spans, scores, places, strict=True)
        ]
        words = sum(1 for part in vocabulary.pre_tokens(text) if part.strip()) + 1
        result.append(ScoredText(words, len(text), math.fsum(scores), tokens))
    return result
