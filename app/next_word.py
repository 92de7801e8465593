"""The next word: the model's exact top k, though a word may be several tokens.

A word's probability is that of the tokens the vocabulary spells it with, and then of anything that ends it. Best-first
search: the most probable unfinished spelling is extended first, in batches, and the search stops when no unfinished
spelling is as probable as the k-th word found, since extending one can only make it less probable.

With letters typed so far, spellings must agree with them, and probabilities are divided by that of all spellings that
do. A word that the vocabulary spells with an apostrophe on its own, as in "D'Angelo", is found once that is typed;
before, the apostrophe counts as a mark that ends "D".
"""

import heapq
import itertools
import math
import unicodedata
from dataclasses import dataclass

import torch
from torch import Tensor

from app import context
from app.calls import Advance, Advanced, Task
from app.language_model import LanguageModel, Vocabulary
from app.spelling import APOSTROPHES, Spelling, is_letter, kind_of

BATCH = 16
"""Spellings that are extended in one call."""
MAX_TURNS = 64
"""Calls after which what was found is returned; only a prefix that fits no word gets here."""
NEGLIGIBLE = 1e-6
"""Share of the prefix's probability below which spellings that do not cover it yet are left aside."""
EXCLUDED = 1e30
"""Stands for infinity, which times zero is not a number."""
SIBLINGS = 64
"""Extensions of a spelling that are ordered at first; more are when these are used up."""


@dataclass(frozen=True, slots=True)
class SuggestedWord:
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class NextWords:
    words: list[SuggestedWord]
    context_tokens: int
    cached_tokens: int


@dataclass(slots=True)
class _Node:
    """A spelling: its tokens, their bytes, and the state `[S]` before the last of them."""

    log_probability: float
    tokens: tuple[int, ...]
    text: bytes
    parent_state: Tensor

    def followed_by(self, token: int, log_probability: float, vocabulary: Vocabulary, state: Tensor) -> "_Node":
        return _Node(
            self.log_probability + log_probability,
            (*self.tokens, token),
            self.text + vocabulary.token_bytes[token],
            state,
        )


class _Children:
    """The extensions of a spelling, the most probable first; sorted only when and as far as somebody takes them."""

    def __init__(self, node: _Node, scores: Tensor, best: float, state: Tensor) -> None:
        """`scores [V]` are log-probabilities, those of no extension lowered by EXCLUDED; `best` is the largest."""
        self._node, self._scores, self._state = node, scores, state
        self._ordered: list[tuple[float, int]] = []
        self._place = 0
        self.bound = node.log_probability + best

    def take(self, vocabulary: Vocabulary) -> _Node:
        """The most probable extension not taken yet; `bound` is then that of the next."""
        score, token = self._at(self._place)
        self._place += 1
        self.bound = self._node.log_probability + self._at(self._place)[0]
        return self._node.followed_by(token, score, vocabulary, self._state)

    def _at(self, place: int) -> tuple[float, int]:
        if place >= len(self._scores):
            return -math.inf, 0
        if place >= len(self._ordered):
            scores, tokens = torch.topk(self._scores, min(max(SIBLINGS, 8 * place), len(self._scores)))
            self._ordered = list(zip(scores.tolist(), tokens.tolist(), strict=True))
        return self._ordered[place]


def next_words(
    model: LanguageModel, spelling: Spelling, text: str, prefix: str, k: int, stars: int | None, punctuation: bool
) -> Task[NextWords]:
    """Finds the `k` most probable words after `text` that begin with `prefix`."""
    complete, prefix = _split_prefix(model.vocabulary.pre_tokens(prefix))
    before, spaced = _split_context(text, complete, prefix)
    tokens = [model.vocabulary.opening(stars), *model.vocabulary.encode(before)]
    if prefix and not is_letter(prefix[0]) and not punctuation:
        return NextWords([], len(tokens), cached_tokens=0)
    start = yield from context.read(model, tokens)
    search = _Search(model, spelling, spaced, prefix, k, punctuation)
    search.begin(start.log_probabilities, start.state)
    for _ in range(MAX_TURNS):
        nodes = search.to_extend()
        if not nodes:
            break
        states = torch.stack([node.parent_state for node in nodes])
        extended: Advanced = yield Advance([[node.tokens[-1]] for node in nodes], states)
        search.extend(nodes, extended)
    words = [SuggestedWord(complete + word, probability) for word, probability in search.found()]
    return NextWords(words, len(tokens), start.cached_tokens)


def _split_prefix(parts: list[str]) -> tuple[str, str]:
    """Splits what is typed, as in "ice-cr", into what is complete and the beginning of a word or mark."""
    if len(parts) > 1 and parts[-1] in APOSTROPHES and is_letter(parts[-2][-1]):
        parts = [*parts[:-2], parts[-2] + parts[-1]]  # "don'" is the beginning of a word
    if len(parts) > 1 and not is_letter(parts[-1][0]):
        parts = [*parts, ""]  # after "ice-" comes another word
    return "".join(parts[:-1]), parts[-1] if parts else ""


def _split_context(text: str, complete: str, prefix: str) -> tuple[str, tuple[str, ...]]:
    """Returns the context to condition on, and what stands before the word there: a space, nothing, or either.

    With a prefix it is known which; a single space at the end of the text is the next word's own.
    """
    if complete:
        before, spaced = _split_context(text, "", complete)
        return before + spaced[0] + complete, ("",)
    if text.endswith(" "):
        return text.removesuffix(" "), (" ",)
    if not text or text[-1].isspace() or (prefix and not is_letter(prefix[0])):
        return text, ("",)
    if unicodedata.category(text[-1])[0] in "LMN":
        return text, (" ",)
    return text, ("",) if prefix else (" ", "")


class _Search:
    """Best-first search; `to_extend` names the spellings whose extensions are needed, `extend` takes them."""

    def __init__(
        self, model: LanguageModel, spelling: Spelling, spaced: tuple[str, ...], prefix: str, k: int, punctuation: bool
    ) -> None:
        self._vocabulary, self._spelling, self._spaced, self._k = model.vocabulary, spelling, spaced, k
        self._typed = (spaced[0] + prefix).encode() if prefix else b""
        self._punctuation = punctuation
        self._kinds = {"word", "mark"} if punctuation else {"word"}
        self._order = itertools.count()
        # Words that are complete, and the extensions not yet taken of every spelling that was extended.
        self._heap: list[tuple[float, int, str | _Children]] = []
        self._uncovered: list[_Node] = []
        self._covered_probability = 0.0
        self._found: dict[str, float] = {}

    def begin(self, log_probabilities: Tensor, state: Tensor) -> None:
        begins = self._spelling.begins_word
        if " " not in self._spaced:
            begins = begins * (1 - self._spelling.begins_with_space)
        if "" not in self._spaced:
            begins = begins * self._spelling.begins_with_space
        if self._punctuation:  # a mark may follow a word with a space or without
            begins = torch.maximum(begins, self._spelling.begins_mark)
        self._take_extensions([_Node(0.0, (), b"", state)], log_probabilities[None], begins[None], state[None])

    def to_extend(self) -> list[_Node]:
        """The spellings to extend next: those that do not cover the prefix yet, then the most probable ones."""
        self._uncovered = [n for n in self._uncovered if math.exp(n.log_probability) > self._negligible()]
        if self._uncovered:
            nodes, self._uncovered = self._uncovered[:BATCH], self._uncovered[BATCH:]
            return nodes
        nodes = []
        words: list[tuple[float, int, str]] = []
        while self._heap and len(nodes) < BATCH and len(self._found) + len(words) < self._k:
            key, order, entry = heapq.heappop(self._heap)
            if isinstance(entry, str):
                if nodes:  # a spelling before it in line may yet hold more probable words
                    words.append((key, order, entry))
                else:
                    self._found.setdefault(entry, math.exp(-key))
            else:
                nodes.append(entry.take(self._vocabulary))
                self._push(entry.bound, entry)
        for word in words:
            heapq.heappush(self._heap, word)
        return nodes

    def extend(self, nodes: list[_Node], extended: Advanced) -> None:
        masks = [self._going_on(node) for node in nodes]
        # Mostly one mask holds for all, and one row does for it.
        going_on = masks[0][None] if all(mask is masks[0] for mask in masks) else torch.stack(masks)
        if self._covers(nodes[0].text):  # as then all do: to_extend never mixes them
            ends = (extended.log_probabilities.exp() * (1 - going_on)).sum(dim=1)
            for node, probability in zip(nodes, ends.tolist(), strict=True):
                if probability > 0.0 and (word := self._word(node)):
                    self._push(node.log_probability + math.log(probability), word)
        self._take_extensions(nodes, extended.log_probabilities, going_on, extended.state)

    def found(self) -> list[tuple[str, float]]:
        """The words found, the most probable first."""
        whole = self._covered_probability if self._typed else 1.0
        return [(word, min(1.0, probability / whole)) for word, probability in self._found.items()]

    def _negligible(self) -> float:
        return NEGLIGIBLE * self._covered_probability

    def _going_on(self, node: _Node) -> Tensor:
        """Tokens that go on with the pre-token of this spelling."""
        if node.text == b" ":
            begins = self._spelling.continues_word
            return torch.maximum(begins, self._spelling.continues_mark) if self._punctuation else begins
        first = node.text.decode("utf-8", "replace").lstrip(" ")[:1]
        mark = first not in {"", "\ufffd"} and not is_letter(first)
        return self._spelling.continues_mark if mark else self._spelling.continues_word

    def _covers(self, text: bytes) -> bool:
        return text.startswith(self._typed)

    def _take_extensions(self, nodes: list[_Node], log_probabilities: Tensor, allowed: Tensor, states: Tensor) -> None:
        """Takes the extensions of spellings into the heap if they cover what was typed, else aside until theirs do."""
        if not self._covers(nodes[0].text):
            rows = zip(nodes, log_probabilities, allowed.expand_as(log_probabilities), states, strict=True)
            allowed = torch.stack([self._covering(*row) for row in rows])
        scores = log_probabilities + (allowed - 1) * EXCLUDED
        for node, row, best, state in zip(nodes, scores, scores.amax(dim=1).tolist(), states, strict=True):
            children = _Children(node, row, best, state)
            self._push(children.bound, children)

    def _covering(self, node: _Node, log_probabilities: Tensor, allowed: Tensor, state: Tensor) -> Tensor:
        """Tokens that cover the rest of what was typed; those that cover a part of it are set aside with it."""
        typed = self._typed[len(node.text) :]
        # What was typed is one word or mark whatever its tokens are: only what goes beyond it must be `allowed`.
        for token in self._spelling.within(typed):
            score = float(log_probabilities[token])
            self._uncovered.append(node.followed_by(token, score, self._vocabulary, state))
        covering = torch.zeros_like(allowed)
        covering[self._spelling.starting_with(typed)] = 1
        covering *= allowed
        if (exactly := self._spelling.token_of(typed)) is not None:
            covering[exactly] = 1
        probability = float((log_probabilities.exp() * covering).sum())
        self._covered_probability += math.exp(node.log_probability) * probability
        return covering

    def _push(self, bound: float, entry: "str | _Children") -> None:
        if bound > -EXCLUDED / 2:
            heapq.heappush(self._heap, (-bound, next(self._order), entry))

    def _word(self, node: _Node) -> str | None:
        """The word of a spelling, if it is a whole one and the vocabulary spells it so."""
        try:
            text = node.text.decode()
        except UnicodeDecodeError:  # ends inside a character
            return None
        word = text.removeprefix(" ")
        if kind_of(word.encode()) not in self._kinds or len(self._vocabulary.pre_tokens(text)) > 1:
            return None
        return word if self._vocabulary.encode(text) == list(node.tokens) else None
