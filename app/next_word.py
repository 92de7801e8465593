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
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from app import context
from app.calls import Advance, Advanced, Task
from app.language_model import LanguageModel, Vocabulary

BATCH = 16
"""Spellings that are extended in one call."""
MAX_TURNS = 64
"""Calls after which what was found is returned; only a prefix that fits no word gets here."""
NEGLIGIBLE = 1e-6
"""Share of the prefix's probability below which spellings that do not cover it yet are left aside."""
SIBLINGS = 64
"""Extensions of a spelling that are ordered at first; more are when these are used up."""
APOSTROPHES = "'’"
LEAD_BYTES_OF_MARKS = (0xC2, 0xE2, 0xF0)


@dataclass(frozen=True, slots=True)
class SuggestedWord:
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class NextWords:
    words: list[SuggestedWord]
    context_tokens: int
    cached_tokens: int


class Spelling:
    """Which tokens can begin a pre-token and which can go on with one, read off the vocabulary once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        kinds = [_kind(token) for token in vocabulary.token_bytes]
        self.begins_word = _mask(kind in ("word", " word", " ") for kind in kinds)
        self.begins_mark = _mask(kind in ("mark", " mark", " ") for kind in kinds)
        self.continues_word = _mask(kind in ("word", "'word", "byte") for kind in kinds)
        self.continues_mark = _mask(kind in ("mark", "byte") for kind in kinds)
        self.begins_with_space = _mask(kind.startswith(" ") for kind in kinds)
        self._by_bytes = sorted((text, token) for token, text in enumerate(vocabulary.token_bytes) if text)
        self._token_of = dict(self._by_bytes)

    def token_of(self, text: bytes) -> int | None:
        """The token that stands for exactly these bytes."""
        return self._token_of.get(text)

    def starting_with(self, typed: bytes) -> list[int]:
        """Tokens whose bytes begin with all of `typed`."""
        start = bisect_left(self._by_bytes, (typed,))
        inside = itertools.takewhile(lambda entry: entry[0].startswith(typed), self._by_bytes[start:])
        return [token for _, token in inside]

    def within(self, typed: bytes) -> list[int]:
        """Tokens whose bytes are a beginning of `typed` and shorter than it."""
        parts = (typed[:length] for length in range(1, len(typed)))
        return [self._token_of[part] for part in parts if part in self._token_of]


def _mask(values: Iterator[bool]) -> Tensor:
    return torch.tensor(list(values))


def _kind(token: bytes) -> str:
    """What a token is part of.

    `word`, ` word` (with its leading space), `'word`, `mark`, ` mark`, ` ` (the space alone), `byte` (the inside of a
    character), or nothing of these (digits, white space and special tokens).
    """
    space, rest = (" ", token[1:]) if token.startswith(b" ") else ("", token)
    if not rest:
        return space
    if 0x80 <= rest[0] < 0xC0:
        return "byte"
    whole = rest.decode("utf-8", "ignore")
    if not whole:  # the beginning of a character: of a letter, but for the lead bytes of punctuation, symbols and emoji
        return space + ("mark" if rest[0] in LEAD_BYTES_OF_MARKS else "word")
    if _is_letter(whole[0]):
        return space + "word"
    if not space and whole[0] in APOSTROPHES and _is_letter(whole[1:2]):
        return "'word"
    return "" if whole[0].isspace() or unicodedata.category(whole[0])[0] == "N" else space + "mark"


def _is_letter(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LM"


@dataclass(slots=True)
class _Node:
    """A spelling: its tokens, their bytes, and the state after them (None until it is extended)."""

    log_probability: float
    tokens: tuple[int, ...]
    text: bytes
    parent_state: Tensor


class _Children:
    """The extensions of a spelling, the most probable first; sorted only as far as somebody looks."""

    def __init__(self, node: _Node | None, log_probabilities: Tensor, allowed: Tensor, state: Tensor) -> None:
        self.node, self.state = node, state
        self._scores = log_probabilities.masked_fill(~allowed, -torch.inf)
        self._sort(SIBLINGS)

    def _sort(self, count: int) -> None:
        scores, tokens = torch.topk(self._scores, min(count, len(self._scores)))
        self._ordered: list[tuple[float, int]] = list(zip(scores.tolist(), tokens.tolist(), strict=True))

    def child(self, place: int, vocabulary: Vocabulary) -> _Node | None:
        """The extension at this place in their order, or None behind the last."""
        if place == len(self._ordered) < len(self._scores):
            self._sort(8 * place)
        if place >= len(self._ordered) or self._ordered[place][0] == -math.inf:
            return None
        score, token = self._ordered[place]
        return self.make(token, score, vocabulary)

    def make(self, token: int, score: float, vocabulary: Vocabulary) -> _Node:
        before = self.node or _Node(0.0, (), b"", self.state)
        return _Node(
            before.log_probability + score,
            (*before.tokens, token),
            before.text + vocabulary.token_bytes[token],
            self.state,
        )


def next_words(
    model: LanguageModel, spelling: Spelling, text: str, prefix: str, k: int, stars: int | None, punctuation: bool
) -> Task[NextWords]:
    """Finds the `k` most probable words after `text` that begin with `prefix`."""
    complete, prefix = _split_prefix(model.vocabulary.pre_tokens(prefix))
    before, spaced = _split_context(text, complete, prefix)
    tokens = [model.vocabulary.opening(stars), *model.vocabulary.encode(before)]
    if prefix and not _is_letter(prefix[0]) and not punctuation:
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
    if len(parts) > 1 and parts[-1] in APOSTROPHES and _is_letter(parts[-2][-1]):
        parts = [*parts[:-2], parts[-2] + parts[-1]]  # "don'" is the beginning of a word
    if len(parts) > 1 and not _is_letter(parts[-1][0]):
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
    if not text or text[-1].isspace() or (prefix and not _is_letter(prefix[0])):
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
        # Words that are complete, and the best child not yet taken of every spelling extended so far.
        self._heap: list[tuple[float, int, str | tuple[_Children, int, _Node]]] = []
        self._uncovered: list[_Node] = []
        self._covered_probability = 0.0
        self._found: dict[str, float] = {}

    def begin(self, log_probabilities: Tensor, state: Tensor) -> None:
        begins = self._spelling.begins_word
        if " " not in self._spaced:
            begins = begins & ~self._spelling.begins_with_space
        if "" not in self._spaced:
            begins = begins & self._spelling.begins_with_space
        if self._punctuation:  # a mark may follow a word with a space or without
            begins = begins | self._spelling.begins_mark
        self._add_children(None, log_probabilities, begins, state)

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
                children, place, node = entry
                self._push_child(children, place + 1)
                nodes.append(node)
        for word in words:
            heapq.heappush(self._heap, word)
        return nodes

    def extend(self, nodes: list[_Node], extended: Advanced) -> None:
        for node, log_probabilities, state in zip(nodes, extended.log_probabilities, extended.state, strict=True):
            going_on = self._going_on(node)
            if self._covers(node.text):
                self._add_word(node, log_probabilities, going_on)
            self._add_children(node, log_probabilities, going_on, state)

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
            return begins | self._spelling.continues_mark if self._punctuation else begins
        first = node.text.decode("utf-8", "replace").lstrip(" ")[:1]
        mark = first not in {"", "\ufffd"} and not _is_letter(first)
        return self._spelling.continues_mark if mark else self._spelling.continues_word

    def _covers(self, text: bytes) -> bool:
        return text.startswith(self._typed)

    def _add_children(self, node: _Node | None, log_probabilities: Tensor, allowed: Tensor, state: Tensor) -> None:
        """Takes a spelling's extensions: into the heap if they cover what was typed, else aside until theirs do."""
        text = node.text if node else b""
        if not self._covers(text):
            typed = self._typed[len(text) :]
            children = _Children(node, log_probabilities, allowed, state)
            # What was typed is one word or mark whatever its tokens are: only what goes beyond it must be `allowed`.
            self._uncovered += [
                children.make(token, float(log_probabilities[token]), self._vocabulary)
                for token in self._spelling.within(typed)
            ]
            covering = torch.zeros_like(allowed)
            covering[self._spelling.starting_with(typed)] = True
            allowed = allowed & covering
            if (exactly := self._spelling.token_of(typed)) is not None:
                allowed[exactly] = True
            before = math.exp(node.log_probability) if node else 1.0
            self._covered_probability += before * float(log_probabilities[allowed].double().exp().sum())
        self._push_child(_Children(node, log_probabilities, allowed, state), 0)

    def _push_child(self, children: _Children, place: int) -> None:
        if node := children.child(place, self._vocabulary):
            heapq.heappush(self._heap, (-node.log_probability, next(self._order), (children, place, node)))

    def _add_word(self, node: _Node, log_probabilities: Tensor, going_on: Tensor) -> None:
        try:
            text = node.text.decode()
        except UnicodeDecodeError:  # ends inside a character
            return
        word = text.removeprefix(" ")
        if _kind(word.encode()) not in self._kinds or len(self._vocabulary.pre_tokens(text)) > 1:
            return
        if self._vocabulary.encode(text) != list(node.tokens):
            return
        ends = float(log_probabilities[~going_on].double().exp().sum())
        if ends > 0.0:
            key = -(node.log_probability + math.log(ends))
            heapq.heappush(self._heap, (key, next(self._order), word))
