"""The next word: the model's exact top k, though a word may be several tokens.

A word's probability is that of the tokens the vocabulary spells it with, the last of which says that it ends there.
Best-first search: the most probable unfinished spelling is extended first, in batches, and the search stops when no
unfinished spelling is as probable as the k-th word found, since extending one can only make it less probable.

With letters typed so far, spellings must agree with them, and probabilities are divided by that of all spellings that
do. A word that the vocabulary spells with an apostrophe on its own, as in "D'Angelo", is found once that is typed;
before, the apostrophe counts as a mark that ends "D".
"""

import heapq
import itertools
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from app import context
from app.calls import Advance, Advanced, Task
from app.context import Context
from app.language_model import LanguageModel, Vocabulary
from app.ranking import EXCLUDED, Ranked, TokenSet, further
from app.spelling import APOSTROPHES, Spelling, is_letter

BATCH = 16
"""Spellings that are extended in one call."""
MAX_TURNS = 64
"""Calls after which what was found is returned; only a prefix that fits no word gets here."""
WORDS, WORDS_AND_MARKS = frozenset({"word"}), frozenset({"word", "mark"})
LEAST = -EXCLUDED / 2
"""The log-probability below which a token is one of those that are left out."""
NEGLIGIBLE = 1e-6
"""Share of the prefix's probability below which spellings that do not cover it yet are left aside."""


class SuggestedWord(NamedTuple):
    word: str
    probability: float


class NextWords(NamedTuple):
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
        """The spelling with one more token, of this probability after it; `state [S]` is the one before that token."""
        text = self.text + vocabulary.token_bytes[token]
        return _Node(self.log_probability + log_probability, (*self.tokens, token), text, state)


class _Children:
    """The extensions of a spelling, the most probable first; only as many are sorted as somebody takes."""

    __slots__ = ("_allowed", "_place", "_ranked", "_scores", "_state", "bound", "node")

    def __init__(self, node: _Node, ranked: Ranked, allowed: TokenSet, scores: Tensor, state: Tensor) -> None:
        """`ranked` are the first of those `allowed`, by log-probabilities `scores [V]` after `state [S]`."""
        self.node, self._ranked, self._allowed, self._scores, self._state = node, ranked, allowed, scores, state
        self._place = 0
        self.bound = self._next_bound()
        """The log-probability of the next extension."""

    def _next_bound(self) -> float:
        if self._place == (sorted_ := len(self._ranked.tokens)):
            self._ranked = further(self._scores, self._allowed, 8 * sorted_)
            if len(self._ranked.tokens) == sorted_:
                return -math.inf
        return self.node.log_probability + self._ranked.log_probabilities[self._place]

    def take(self) -> int:
        """The last token of the next extension."""
        token = self._ranked.tokens[self._place]
        self._place += 1
        self.bound = self._next_bound()
        return token

    def taken(self, vocabulary: Vocabulary) -> _Node:
        """The extension that was taken last."""
        place = self._place - 1
        token, score = self._ranked.tokens[place], self._ranked.log_probabilities[place]
        return self.node.followed_by(token, score, vocabulary, self._state)


def next_words(
    model: LanguageModel, spelling: Spelling, text: str, prefix: str, k: int, stars: int | None, punctuation: bool
) -> Task[NextWords]:
    """Finds the `k` most probable words after `text` that begin with `prefix`."""
    complete, prefix = _split_prefix(model.vocabulary.pre_tokens(prefix)) if prefix else ("", "")
    before, spaced = _split_context(text, complete, prefix)
    opening = model.vocabulary.opening(stars)
    if prefix and not is_letter(prefix[0]) and not punctuation:
        return NextWords([], 1 + len(model.vocabulary.encode(before)), cached_tokens=0)
    typed = (spaced[0] + prefix).encode() if prefix else b""
    begins = spelling.beginnings(spaced, punctuation, typed)
    start = yield from context.read(model, opening, before, [begins])
    if not (complete or typed) and (words := _of_a_token_each(spelling, start.last.best[0], k, punctuation)):
        return NextWords(words, start.tokens, start.cached_tokens)
    search = _Search(model.vocabulary, spelling, begins, typed, k, punctuation)
    search.begin(start)
    for _ in range(MAX_TURNS):
        nodes = search.to_extend()
        if not nodes:
            break
        states, sets = [node.parent_state for node in nodes], [search.extensions(node) for node in nodes]
        extended: Advanced = yield Advance([[node.tokens[-1]] for node in nodes], states, sets)
        search.extend(nodes, sets, extended)
    return NextWords(search.found(complete), start.tokens, start.cached_tokens)


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


def _of_a_token_each(spelling: Spelling, ranked: Ranked, k: int, punctuation: bool) -> list[SuggestedWord] | None:
    """The first `k` words where no unfinished spelling is as probable, which a search would find as well, later."""
    kinds = _kinds(punctuation)
    found: dict[str, float] = {}
    for token, log_probability in zip(ranked.tokens, ranked.log_probabilities, strict=True):
        if not spelling.ends[token] or log_probability <= LEAST:
            return None
        if (spelled := spelling.words[token]) and spelled[1] in kinds:
            found.setdefault(spelled[0], math.exp(log_probability))
            if len(found) == k:
                return list(itertools.starmap(SuggestedWord, found.items()))
    return None


def _kinds(punctuation: bool) -> frozenset[str]:
    """What is suggested, as `kind_of` has it."""
    return WORDS_AND_MARKS if punctuation else WORDS


class _Search:
    """Best-first search; `to_extend` names the spellings whose extensions are needed, `extend` takes them."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        spelling: Spelling,
        begins: TokenSet,
        typed: bytes,
        k: int,
        punctuation: bool,
    ) -> None:
        """`begins` are the tokens that may come first, those that cover all that was `typed` if anything was."""
        self._vocabulary, self._spelling, self._k = vocabulary, spelling, k
        self._begins, self._typed, self._punctuation = begins, typed, punctuation
        self._kinds = _kinds(punctuation)
        self._order = itertools.count()
        # Words found behind spellings yet to be extended, and the extensions not yet taken of those that were.
        self._heap: list[tuple[float, int, str | _Children]] = []
        self._uncovered: list[_Node] = []
        self._covered_probability = 0.0
        self._found: dict[str, float] = {}

    def begin(self, start: Context) -> None:
        last = start.last
        node = _Node(0.0, (), b"", last.states[0])
        self._take(node, last.best[0], self._begins, last.log_probabilities[0], last.states[0])

    def to_extend(self) -> list[_Node]:
        """The spellings to extend next: those that do not cover the prefix yet, then the most probable ones."""
        if self._uncovered:
            least = NEGLIGIBLE * self._covered_probability
            self._uncovered = [node for node in self._uncovered if math.exp(node.log_probability) > least]
        if not self._uncovered:
            return self._most_probable()
        nodes, self._uncovered = self._uncovered[:BATCH], self._uncovered[BATCH:]
        return nodes

    def _most_probable(self) -> list[_Node]:
        """Takes words and unfinished spellings, the most probable first; the unfinished ones that words wait for."""
        nodes: list[_Node] = []
        waiting: list[tuple[float, int, str]] = []
        heap, found = self._heap, self._found
        while heap and len(nodes) < BATCH and len(found) + len(waiting) < self._k:
            key, order, entry = heap[0]
            if isinstance(entry, str):
                heapq.heappop(heap)
                word: str | None = entry
            else:
                word = self._taken(entry, nodes)
                if entry.bound > LEAST:
                    heapq.heapreplace(heap, (-entry.bound, next(self._order), entry))
                else:
                    heapq.heappop(heap)
            if word is None:
                continue
            if nodes:  # a spelling before it in line may yet hold more probable words
                waiting.append((key, order, word))
            else:
                found.setdefault(word, math.exp(-key))
        for each in waiting:
            heapq.heappush(heap, each)
        return nodes

    def _taken(self, children: _Children, nodes: list[_Node]) -> str | None:
        """The word that the next extension is; one that is not finished goes to `nodes`."""
        spelling, before = self._spelling, children.node.tokens
        token = children.take()
        if not spelling.ends[token]:
            nodes.append(children.taken(self._vocabulary))
            return None
        spelled = spelling.word((*before, token)) if before else spelling.words[token]
        return spelled[0] if spelled and spelled[1] in self._kinds else None

    def extensions(self, node: _Node) -> TokenSet:
        """The tokens that may go on with a spelling."""
        return self._spelling.extensions(node.text, self._punctuation, self._typed)

    def extend(self, nodes: list[_Node], sets: Sequence[TokenSet], extended: Advanced) -> None:
        for node, ranked, allowed, scores, state in zip(
            nodes, extended.best, sets, extended.log_probabilities, extended.states, strict=True
        ):
            self._take(node, ranked, allowed, scores, state)

    def found(self, complete: str) -> list[SuggestedWord]:
        """The words found, the most probable first, each behind what is `complete`."""
        whole = self._covered_probability if self._typed else 1.0
        return [SuggestedWord(complete + word, min(1.0, each / whole)) for word, each in self._found.items()]

    def _take(self, node: _Node, ranked: Ranked, allowed: TokenSet, scores: Tensor, state: Tensor) -> None:
        """Takes the extensions of a spelling; those that cover only a part of what was typed are set aside."""
        if not node.text.startswith(self._typed):
            # The set holds the tokens that cover the rest of what was typed.
            self._covered_probability += math.exp(node.log_probability) * float(allowed.scores(scores).exp().sum())
            for token in self._spelling.within(self._typed[len(node.text) :]):
                self._uncovered.append(node.followed_by(token, float(scores[token]), self._vocabulary, state))
        children = _Children(node, ranked, allowed, scores, state)
        if children.bound > LEAST:
            heapq.heappush(self._heap, (-children.bound, next(self._order), children))
