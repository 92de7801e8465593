"""What vectors of words know: nearest neighbours by cosine, analogies by the offset between two words.

Mikolov, Yih & Zweig 2013, "Linguistic Regularities in Continuous Space Word Representations": a is to b as c is to the
word w, other than these three, with the greatest

    cos(w, b / ‖b‖ - a / ‖a‖ + c / ‖c‖)

The words are the vocabulary's tokens that are whole words with the space before them; of two that differ by case alone
it is the more frequent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.errors import TrainingError
from training.vocabulary import WORD_END


class WordVectors:
    """`vectors [N, E]` of `words`, by their spelling in any case."""

    def __init__(self, words: Sequence[str], vectors: Tensor) -> None:
        self.words = list(words)
        self.directions = torch.nn.functional.normalize(vectors.float())
        self._rows = {word.lower(): row for row, word in enumerate(words)}

    def __contains__(self, word: str) -> bool:
        return word.lower() in self._rows

    def nearest(self, word: str, count: int) -> list[str]:
        """The `count` words of the smallest angle to `word`."""
        return self._closest(self._direction(word), [word], count)

    def analogy(self, a: str, b: str, c: str) -> str:
        """The word that is to `c` as `b` is to `a`."""
        return self._closest(self._direction(b) - self._direction(a) + self._direction(c), [a, b, c], 1)[0]

    def plane(self, words: Sequence[str]) -> Tensor:
        """The words in the two directions that they differ most in, `[N, 2]`."""
        return plane(torch.stack([self._direction(word) for word in words]))

    def _direction(self, word: str) -> Tensor:
        if word not in self:
            raise TrainingError(f"The vocabulary has no word “{word}” in one token; ask for a more frequent one.")
        return self.directions[self._rows[word.lower()]]

    def _closest(self, direction: Tensor, but: Sequence[str], count: int) -> list[str]:
        likeness = self.directions @ direction
        likeness[[self._rows[word.lower()] for word in but]] = -torch.inf
        return [self.words[row] for row in likeness.topk(min(count, len(likeness) - len(set(but)))).indices.tolist()]


def plane(vectors: Tensor) -> Tensor:
    """The coordinates of `vectors [N, E]` along their first two principal components, `[N, 2]`."""
    directions = torch.nn.functional.normalize(vectors)
    centred = directions - directions.mean(dim=0)
    _, _, axes = torch.linalg.svd(centred, full_matrices=False)
    places: Tensor = centred @ axes[:2].T
    return places * places[0].sign()  # axes have no sign of their own; the first word lies above and to the right


def vectors_of_words(tokenizer: Tokenizer, vectors: Tensor, counts: Tensor, at_least: int = 1) -> WordVectors:
    """The whole words among the tokens of `vectors [V, E]` that occur `at_least` so often by `counts [V]`."""
    chosen: dict[str, int] = {}
    for token in counts.argsort(descending=True).tolist():
        text = tokenizer.decode([token])
        whole = text[:1] == " " and text[1:].isalpha() and str(tokenizer.id_to_token(token)).endswith(WORD_END)
        if whole and counts[token] >= at_least:
            chosen.setdefault(text[1:].lower(), token)
    rows = list(chosen.values())
    return WordVectors([tokenizer.decode([row])[1:] for row in rows], vectors[rows])


# ---- analogies ----


@dataclass(frozen=True)
class Analogies:
    """How many of the questions of one kind were answered right."""

    kind: str
    asked: int
    right: int


def ask_analogies(vectors: WordVectors, kinds: Mapping[str, Sequence[tuple[str, str]]]) -> list[Analogies]:
    """Asks, for any two pairs (a, b) and (c, d) of a kind, what is to c as b is to a; unknown words are left out."""
    answers = []
    for kind, pairs in kinds.items():
        known = [pair for pair in pairs if all(word in vectors for word in pair)]
        right = [vectors.analogy(a, b, c).lower() == d.lower() for (a, b), (c, d) in permutations(known, 2)]
        answers.append(Analogies(kind, len(right), sum(right)))
    return answers


REVIEW_ANALOGIES: dict[str, list[tuple[str, str]]] = {
    "number": [
        ("dish", "dishes"), ("drink", "drinks"), ("waiter", "waiters"), ("server", "servers"), ("room", "rooms"),
        ("burger", "burgers"), ("taco", "tacos"), ("salad", "salads"), ("store", "stores"), ("table", "tables"),
        ("child", "children"), ("friend", "friends"), ("minute", "minutes"), ("hour", "hours"),
    ],
    "past": [
        ("order", "ordered"), ("walk", "walked"), ("eat", "ate"), ("go", "went"), ("come", "came"), ("try", "tried"),
        ("ask", "asked"), ("pay", "paid"), ("take", "took"), ("say", "said"), ("get", "got"), ("tell", "told"),
    ],
    "comparative": [
        ("good", "better"), ("bad", "worse"), ("small", "smaller"), ("big", "bigger"), ("cheap", "cheaper"),
        ("large", "larger"), ("high", "higher"), ("fast", "faster"), ("close", "closer"), ("old", "older"),
    ],
    "superlative": [
        ("good", "best"), ("bad", "worst"), ("big", "biggest"), ("small", "smallest"), ("great", "greatest"),
        ("cheap", "cheapest"), ("nice", "nicest"), ("close", "closest"),
    ],
    "opposite": [
        ("good", "bad"), ("clean", "dirty"), ("hot", "cold"), ("cheap", "expensive"), ("friendly", "rude"),
        ("fast", "slow"), ("love", "hate"), ("best", "worst"), ("fresh", "stale"), ("happy", "unhappy"),
        ("always", "never"), ("early", "late"),
    ],
    "kitchen": [
        ("Italian", "pasta"), ("Mexican", "tacos"), ("Japanese", "sushi"), ("Vietnamese", "pho"), ("Indian", "curry"),
        ("Greek", "gyro"), ("Korean", "kimchi"), ("French", "crepes"),
    ],
    "person": [
        ("he", "she"), ("his", "her"), ("waiter", "waitress"), ("husband", "wife"), ("boyfriend", "girlfriend"),
        ("man", "woman"), ("him", "her"), ("guy", "girl"), ("dad", "mom"), ("son", "daughter"),
    ],
}  # fmt: skip
"""Pairs by what is between them, of words that are frequent in reviews."""
