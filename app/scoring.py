"""Scoring texts: perplexity per word and token, bits per character, and each token's surprise.

With L the natural log-probability of a text and its end mark, M its words and punctuation marks and one end mark, K its
tokens and one end mark, N its characters: perplexity exp(-L/M), token perplexity exp(-L/K), bits per character
-L/(N ln 2).
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from app.calls import Advance, Advanced, Score, Scored, Task
from app.language_model import LanguageModel

LARGEST_EXPONENT = math.log(sys.float_info.max)


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
    """Of so many words or tokens; the largest float where it is larger, as JSON has no infinity."""
    return math.exp(min(-log_probability / units, LARGEST_EXPONENT))


def bits_per_character(log_probability: float, characters: int) -> float:
    return -log_probability / math.log(2) / characters


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text, its tokens and where each stands in it, and how many words and marks it has, its end mark counted."""

    text: str
    tokens: list[int]
    offsets: list[tuple[int, int]]
    words: int


def encode(model: LanguageModel, texts: Sequence[str]) -> list[EncodedText]:
    """The tokens of texts that are to be scored."""
    vocabulary, encoded = model.vocabulary, []
    for text in texts:
        words = sum(1 for part in vocabulary.pre_tokens(text) if part.strip())
        encoded.append(EncodedText(text, *vocabulary.encode_with_offsets(text), words + 1))
    return encoded


def score(model: LanguageModel, texts: Sequence[EncodedText], stars: int | None, ranks: bool) -> Task[list[ScoredText]]:
    """Scores each text as a whole review of this rating."""
    vocabulary = model.vocabulary
    opened: Advanced = yield Advance([[vocabulary.opening(stars)]], model.initial_states(1), probabilities=False)
    rows = [[*text.tokens, vocabulary.end] for text in texts]
    scored: Scored = yield Score(rows, [opened.states[0]] * len(texts), ranks)
    result = []
    for text, scores, places in zip(texts, scored.log_probabilities, scored.ranks, strict=True):
        spans = [*text.offsets, (len(text.text), len(text.text))]
        tokens = [
            ScoredToken(text.text[start:end], start, end, value, rank)
            for (start, end), value, rank in zip(spans, scores, places, strict=True)
        ]
        result.append(ScoredText(text.words, len(text.text), math.fsum(scores), tokens))
    return result
