"""How well the next word is predicted: accuracy, mean reciprocal rank, keystroke savings, calibration.

Every word of the measured reviews is predicted from all that stands before its first letter, the space included, among
all words the vocabulary can spell; marks, digits and white space are no words. Ranks beyond LISTED count as not found.

- Top-k accuracy: the share of words that stand among the first k suggestions.
- Mean reciprocal rank: the mean of 1 / rank, 0 for words not found (Voorhees 1999, "The TREC-8 Question Answering Track
  Report").
- Keystroke savings: (keys without - keys with) / keys without, for a list of three suggestions and a user who accepts a
  word as soon as it is offered (Copestake 1997, "Augmented and Alternative NLP Techniques for Augmentative and
  Alternative Communication"; Trnka & McCoy 2008, "Evaluating Word Prediction: Framing Keystroke Savings"). The list is
  new after each key. One key accepts a word and types the space after it; where none follows, the mark that does takes
  it back at no cost. Every character of a review is a key, so marks and digits are in both sums.
- Calibration: wherever something may follow, be it a word or not, the most probable word has a probability; how often
  does it follow? The expected calibration error is the mean distance between the two, in ten bins of equal width,
  weighted by their places (Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017).
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tqdm import tqdm

from training.evaluate import Measurable, batches
from training.language_model import LanguageModel, step_scorer, walk
from training.next_words import Task, WordSearch, run
from training.spelling import Spelling, is_word

LISTED = 10
"""The longest list of suggestions that a word is looked for in."""
SUGGESTIONS = 3
"""Suggestions shown to the user who saves keystrokes."""
BINS = 10
LANES = 32
"""Reviews that are read side by side."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something follows in a review: after token `before` come `tokens`, which are `text`, a word or not.

    `spaced` says whether the service would suggest words with a space before them there, or (None) either kind.
    """

    before: int
    tokens: tuple[int, ...]
    text: str
    spaced: bool | None
    space_follows: bool


@dataclass(frozen=True, slots=True)
class Guess:
    """What a model made of a place: its most probable word, and where in its lists the word there stands.

    `rank` is from 1 to LISTED, 0 beyond; `typed` letters are needed before it is offered. Both are None for no word.
    """

    place: Place
    probability: float
    came_true: bool
    rank: int | None = None
    typed: int | None = None

    @property
    def keys_saved(self) -> int:
        if self.typed is None:
            return 0
        word = self.place.text.removeprefix(" ")
        accepted = self.typed < len(word)
        return len(word) - self.typed + self.place.space_follows - 1 if accepted else 0


@dataclass
class WordPrediction:
    """Totals over the places of the measured reviews."""

    reviews: int
    characters: int
    log_probability: float = 0.0
    keys_saved: int = 0
    ranks: list[int] = field(default_factory=lambda: [0] * (LISTED + 1))
    """Words by rank; those not found at 0."""
    calibration: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.zeros((BINS, 3)))
    """Of each bin: its places, the sum of their probabilities, and how many came true."""

    def add(self, guess: Guess) -> None:
        place = min(int(guess.probability * BINS), BINS - 1)
        self.calibration[place] += (1, guess.probability, guess.came_true)
        self.keys_saved += guess.keys_saved
        if guess.rank is not None:
            self.ranks[guess.rank] += 1

    def accuracy(self, k: int) -> float:
        return sum(self.ranks[1 : k + 1]) / sum(self.ranks)

    @property
    def mean_reciprocal_rank(self) -> float:
        return sum(count / rank for rank, count in enumerate(self.ranks) if rank) / sum(self.ranks)

    @property
    def keystroke_savings(self) -> float:
        return self.keys_saved / self.characters

    @property
    def calibration_error(self) -> float:
        places, probabilities, true = self.calibration.T
        return float(np.abs(probabilities - true).sum() / places.sum())

    def as_dict(self) -> dict[str, Any]:
        return {
            "reviews": self.reviews,
            "words": sum(self.ranks),
            "bits_per_character": round(-self.log_probability / math.log(2) / self.characters, 4),
            **{f"top_{k}_accuracy": round(self.accuracy(k), 4) for k in (1, 3, 5)},
            f"mean_reciprocal_rank_at_{LISTED}": round(self.mean_reciprocal_rank, 4),
            "keystroke_savings": round(self.keystroke_savings, 4),
            "keys_without": self.characters,
            "keys_with": self.characters - self.keys_saved,
            "words_by_rank": self.ranks[1:],
            "words_beyond": self.ranks[0],
            "expected_calibration_error": round(self.calibration_error, 4),
            "calibration": [
                {
                    "places": int(places),
                    "probability": round(probabilities / places, 4),
                    "came_true": round(true / places, 4),
                }
                for places, probabilities, true in self.calibration.tolist()
                if places
            ],
        }


def measure_word_prediction(
    model: LanguageModel, tokenizer: Tokenizer, reviews: Sequence[Measurable], label: str = ""
) -> WordPrediction:
    """Measures all `reviews`; shows a progress bar over their places if `label` says what is being measured."""
    result = WordPrediction(len(reviews), sum(review.characters for review in reviews))
    spelling = Spelling(tokenizer)
    guesses = run(model, spelling, _searches(model, tokenizer, spelling, reviews, result))
    for guess in tqdm(guesses, unit="place", desc=label, disable=None if label else True):
        result.add(guess)
    return result


def places_of(tokenizer: Tokenizer, tokens: Sequence[int]) -> dict[int, Place]:
    """The places of a review `opening w1 … wn end`, one before each pre-token and one before the end mark."""
    text = tokenizer.decode(tokens[1:-1])
    encoding = tokenizer.encode(text)
    starts = [i for i, own in enumerate(encoding.word_ids) if i == 0 or own != encoding.word_ids[i - 1]]
    result = {}
    for start, end in zip(starts, [*starts[1:], len(encoding.ids)], strict=True):
        first, last = encoding.offsets[start][0], encoding.offsets[end - 1][1]
        ids = tuple(encoding.ids[start:end])
        result[start] = Place(start, ids, text[first:last], _spaced(text[:first]), text[last : last + 1] == " ")
    end = len(encoding.ids)
    return result | {end: Place(end, (), "", _spaced(text), False)}


def _spaced(before: str) -> bool | None:
    if not before or before[-1].isspace():
        return before.endswith(" ")
    return True if unicodedata.category(before[-1])[0] in "LMN" else None


def guess(search: WordSearch, place: Place, score: float, hidden_until: int = 0) -> Task[Guess]:
    """Finds what the model would suggest at a place, whose word has the log-probability `score`.

    `hidden_until` is how many bytes of the word must be typed before it can be found, as `Spelling` says.
    """
    best, best_score = yield from search.best(place.spaced)
    probability, word, spaced = math.exp(best_score), place.text.encode(), place.text.startswith(" ")
    if not is_word(place.text):
        return Guess(place, probability, came_true=False)
    if score == -math.inf:  # the model will never suggest it
        return Guess(place, probability, came_true=False, rank=0, typed=len(place.text) - spaced)
    ahead = yield from search.before(word, score, b" " * spaced, LISTED)
    rank = 0 if hidden_until or ahead == LISTED else ahead + 1
    for typed in range(len(place.text) - spaced):
        letters = place.text[: typed + spaced].encode()
        if len(letters) >= hidden_until and (yield from search.before(word, score, letters, SUGGESTIONS)) < SUGGESTIONS:
            return Guess(place, probability, best == word, rank, typed)
    return Guess(place, probability, best == word, rank, typed=len(place.text) - spaced)


def _searches(
    model: LanguageModel,
    tokenizer: Tokenizer,
    spelling: Spelling,
    reviews: Sequence[Measurable],
    result: WordPrediction,
) -> Iterator[Task[Guess]]:
    scorer = step_scorer(model)
    for tokens, lengths in batches(list(reviews), LANES):
        places = [places_of(tokenizer, row[:n].tolist()) for row, n in zip(tokens, lengths.tolist(), strict=True)]
        scores = scorer(tokens, lengths).double()
        counted = torch.arange(scores.shape[1]) < (lengths - 1)[:, None]
        result.log_probability += float(scores[counted].sum())
        for before, (log_probabilities, state) in enumerate(walk(model, tokens)):
            for row, own in enumerate(places):
                if place := own.get(before):
                    score = float(scores[row, before : before + len(place.tokens)].sum())
                    search = WordSearch(spelling, log_probabilities[row], state[row])
                    yield guess(search, place, score, spelling.hidden_until(place.tokens))
