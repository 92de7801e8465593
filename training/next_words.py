"""Ranks of next words, exactly, though a word may be several tokens; for many places of many texts at once.

A word's probability is that of the tokens the vocabulary spells it with, the last of which says that it ends there, as
in the service. Where is a word's place in the list of all that could stand there? Every unfinished spelling that is
more probable than the word may become a word before it, and none that is less probable can, as going on only makes it
less probable. So only the first kind are followed (best-first search), until none is left or enough words are found.

A search asks for spellings to be extended by yielding them; `run` extends those of many searches in common steps.
"""

import heapq
import itertools
import math
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from training.language_model import LanguageModel
from training.spelling import Spelling

POOL = 48
"""Searches that go on side by side."""
ROWS = 32
"""Spellings that are extended in one step: more rows of logits than fit a processor's cache take longer each."""
SORTED = 32
"""Extensions of a spelling that are sorted at first."""
MOST = 500
"""Spellings that one search looks at; only words of a probability such as exp(-30) need as many."""


@dataclass(frozen=True, slots=True)
class Extended:
    """What follows a spelling: `log_probabilities [V]` and the state `[S]`.

    `going_on` is the log-probability of the best token that goes on, or 0, than which none is better.
    """

    log_probabilities: Tensor
    state: Tensor
    going_on: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """An unfinished spelling, to be extended: its tokens, their probability, and the state before the last of them."""

    log_probability: float
    tokens: tuple[int, ...]
    text: bytes
    state: Tensor


T = TypeVar("T")
Task = Generator[list[Node], list[Extended], T]


class _Fork:
    """A spelling that was extended; those of its extensions that were taken are not taken again."""

    def __init__(self, node: Node, extended: Extended) -> None:
        self.node, self.extended = node, extended
        self.text = node.text
        self.taken: set[int] = set()
        self._sorted: dict[int, list[tuple[float, int]]] = {}

    def may_become(self, typed: bytes, floor: float) -> bool:
        """Whether this may go on to a word that begins with `typed` and is more probable than `floor`."""
        if self.text.startswith(typed):
            return self.node.log_probability + self.extended.going_on > floor
        return typed.startswith(self.text)

    def likeliest(self, tokens: Tensor, floor: float) -> Iterator[tuple[float, int, "_Fork"]]:
        """Those of these extensions above `floor`, a log-probability, that nobody took; the most probable first."""
        for score, token in self._ranked(tokens):
            if (probable := self.node.log_probability + score) <= floor:
                return
            if token not in self.taken:
                yield probable, token, self

    def _ranked(self, tokens: Tensor) -> Iterator[tuple[float, int]]:
        """All of them, the most probable first; only as many are sorted as somebody takes."""
        known = self._sorted.setdefault(id(tokens), [])  # there is one tensor of each set
        yield from known
        while len(known) < len(tokens):
            scores = self.extended.log_probabilities[tokens]
            best = torch.topk(scores, min(SORTED + 4 * len(known), len(tokens)))
            new = list(zip(best.values.tolist(), tokens[best.indices].tolist(), strict=True))[len(known) :]
            known += new
            yield from new


class WordSearch:
    """The words that could come at one place of a text, after `log_probabilities [V]` and the state `[S]` there."""

    def __init__(self, spelling: Spelling, log_probabilities: Tensor, state: Tensor) -> None:
        self._spelling = spelling
        root = Node(0.0, (), b"", state)
        self._forks = [_Fork(root, Extended(log_probabilities, state))]
        self._looked_at = 0
        self.found: dict[bytes, float] = {}
        """Log-probabilities of the words found so far, each with the space before it."""

    def best(self, spaced: bool | None) -> Task[tuple[bytes, float]]:
        """Finds the most probable word and its log-probability; `spaced` as in `Spelling.beginnings`."""
        typed = b" " if spaced else b""
        while True:
            agreeing = ((score, word) for word, score in self.found.items() if _agrees(word, typed, spaced))
            score, word = max(agreeing, default=(-math.inf, b""))
            if self._find(typed, spaced, score, most=1):
                continue
            if not (nodes := self._likeliest(typed, spaced, score, most=2, last=False)):
                return word, score
            yield from self._extend(nodes)

    def before(self, word: bytes, score: float, typed: bytes, limit: int) -> Task[int]:
        """Counts the words before `word`, of log-probability `score`, that begin with `typed` as it does; to `limit`.

        Whether a space stands before the word is known, also where nothing of it is typed. A search that has looked
        at MOST spellings gives up and answers `limit`: what is measured may be worse than the truth, never better.
        """
        spaced = word.startswith(b" ")
        while True:
            count = sum(
                1
                for other, own in self.found.items()
                if own > score and other != word and _agrees(other, typed, spaced)
            )
            if count >= limit or self._looked_at > MOST:
                return limit
            if self._find(typed, spaced, score, limit - count):
                continue
            if not (nodes := self._likeliest(typed, spaced, score, limit - count, last=False)):
                return count
            yield from self._extend(nodes)

    def _find(self, typed: bytes, spaced: bool | None, floor: float, most: int) -> bool:
        """Takes the most probable words that one token more completes; False where none is left above `floor`."""
        nodes = self._likeliest(typed, spaced, floor, most, last=True)
        self.found |= {word: node.log_probability for node in nodes if (word := self._spelling.word(node.tokens))}
        return bool(nodes)

    def _likeliest(self, typed: bytes, spaced: bool | None, floor: float, most: int, last: bool) -> list[Node]:
        """Takes the most probable spellings above `floor` that agree with `typed`: whole ones if `last`, or others."""
        candidates = (
            itertools.islice(fork.likeliest(self._tokens_after(fork.text, typed, spaced, last), floor), most)
            for fork in self._forks
            if fork.may_become(typed, floor)
        )
        best = heapq.nlargest(most, itertools.chain.from_iterable(candidates), key=lambda entry: entry[0])
        self._looked_at += len(best)
        return [self._take(*entry) for entry in best]

    def _tokens_after(self, text: bytes, typed: bytes, spaced: bool | None, last: bool) -> Tensor:
        if not text:
            return self._spelling.beginnings(typed, spaced, last)
        return self._spelling.extensions(typed[len(text) :], last)

    def _take(self, score: float, token: int, fork: _Fork) -> Node:
        fork.taken.add(token)
        text = fork.text + self._spelling.token_bytes[token]
        return Node(score, (*fork.node.tokens, token), text, fork.extended.state)

    def _extend(self, nodes: list[Node]) -> Task[None]:
        extended = yield nodes
        self._forks += map(_Fork, nodes, extended)


def _agrees(word: bytes, typed: bytes, spaced: bool | None) -> bool:
    return word.startswith(typed) and spaced in (None, word.startswith(b" "))


@torch.inference_mode()
def run(model: LanguageModel, spelling: Spelling, tasks: Iterable[Task[T]]) -> Iterator[T]:
    """Runs tasks side by side, in common steps of the model; yields what they return, in no certain order."""
    waiting = iter(tasks)
    running: list[tuple[Task[T], list[Node]]] = []
    while True:
        running += [(task, []) for task in itertools.islice(waiting, POOL - len(running))]
        if not running:
            return
        extended = iter(_extended(model, spelling, [node for _, nodes in running for node in nodes]))
        asking = []
        for task, nodes in running:
            try:
                answer = list(itertools.islice(extended, len(nodes)))
                asking.append((task, task.send(answer) if answer else next(task)))
            except StopIteration as finished:
                yield finished.value
        running = asking


def _extended(model: LanguageModel, spelling: Spelling, nodes: list[Node]) -> Iterator[Extended]:
    for start in range(0, len(nodes), ROWS):
        rows = nodes[start : start + ROWS]
        states = torch.stack([node.state for node in rows])
        log_probabilities, after = model.step(torch.tensor([node.tokens[-1] for node in rows]), states)
        going_on = log_probabilities[:, spelling.continuing].amax(dim=1)
        yield from map(Extended, log_probabilities, after, going_on.tolist())
