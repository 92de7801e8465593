"""Best-first search for words among their spellings, which `app/next_word.py` feeds with what follows each.

A word's probability is that of the tokens the vocabulary spells it with, the last of which says that it ends there. The
most probable unfinished spelling is extended first, in batches, and the search stops when no unfinished spelling is as
probable as the k-th word found, since extending one can only make it less probable.

With letters typed so far, spellings must agree with them, and probabilities are divided by that of all spellings that
do, to within NEGLIGIBLE; less probable words are left out. A word that the vocabulary spells with an apostrophe on its
own, as in "D'Angelo", is found once that is typed; before, the apostrophe counts as a mark that ends "D".
"""

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.language_model import LanguageModel, Vocabulary
from app.ranking import EXCLUDED, Ranked, TokenSet, further
from app.spelling import Spelling
from app.word_cache import Following

BATCH = 16
"""Spellings that are extended in one call."""
WORDS, WORDS_AND_MARKS = frozenset({"word"}), frozenset({"word", "mark"})
LEAST = -EXCLUDED / 2
"""The log-probability below which a token is one of those that are left out."""
NEGLIGIBLE = 1e-4
"""Share of the typed letters' probability that is left aside: words with less, and spellings with less all together.

Nearly all that begins with "and" is that word: four more cost a thousand spellings. And most letters cost a call less.
"""


def kinds_of(punctuation: bool) -> frozenset[str]:
    """What is suggested, as `kind_of` has it."""
    return WORDS_AND_MARKS if punctuation else WORDS


@dataclass(slots=True)
class Node:
    """A spelling: its tokens, their bytes, and the state `[S]` before the last of them."""

    log_probability: float
    tokens: tuple[int, ...]
    text: bytes
    parent_state: Tensor

    def followed_by(self, token: int, log_probability: float, vocabulary: Vocabulary, state: Tensor) -> "Node":
        """The spelling with one more token, of this probability after it; `state [S]` is the one before that token."""
        text = self.text + vocabulary.token_bytes[token]
        return Node(self.log_probability + log_probability, (*self.tokens, token), text, state)


class _Children:
    """The extensions of a spelling, the most probable first; only as many are sorted as somebody takes."""

    __slots__ = ("_allowed", "_following", "_place", "_ranked", "bound", "node")

    def __init__(self, node: Node, ranked: Ranked, allowed: TokenSet, following: Following) -> None:
        """`ranked` are the first of those `allowed`, by what is `following` the spelling."""
        self.node, self._ranked, self._allowed, self._following = node, ranked, allowed, following
        self._place = 0
        self.bound = self._next_bound()
        """The log-probability of the next extension."""

    def _next_bound(self) -> float:
        if self._place == (sorted_ := len(self._ranked.tokens)):
            if self._ranked.are_all_of(self._allowed):
                return -math.inf
            self._ranked = further(self._following.log_probabilities, self._allowed, 8 * sorted_)
            if len(self._ranked.tokens) == sorted_:
                return -math.inf
        return self.node.log_probability + self._ranked.log_probabilities[self._place]

    def take(self) -> int:
        """The last token of the next extension."""
        token = self._ranked.tokens[self._place]
        self._place += 1
        self.bound = self._next_bound()
        return token

    def taken(self, vocabulary: Vocabulary) -> Node:
        """The extension that was taken last."""
        place = self._place - 1
        token, score = self._ranked.tokens[place], self._ranked.log_probabilities[place]
        return self.node.followed_by(token, score, vocabulary, self._following.state)


class WordSearch:
    """`to_extend` names the spellings that words wait for; `extend` takes what follows them, after `begin`."""

    def __init__(
        self,
        model: LanguageModel,
        spelling: Spelling,
        typed: bytes,
        k: int,
        punctuation: bool,
    ) -> None:
        """Searches for words that begin with what was `typed`, if anything was."""
        self._vocabulary, self._calls, self._spelling, self._k = model.vocabulary, model.calls, spelling, k
        self._typed, self._punctuation, self._kinds = typed, punctuation, kinds_of(punctuation)
        self._order = itertools.count()
        # Words found behind spellings yet to be extended, and the extensions not yet taken of those that were.
        self._heap: list[tuple[float, int, str | _Children]] = []
        self._uncovered: list[Node] = []
        self._covered_probability = self._aside_probability = 0.0
        self._found: dict[str, float] = {}

    def begin(self, start: Following, begins: TokenSet) -> None:
        """Takes what follows the text before the word, and the tokens that may come first."""
        self.extend([Node(0.0, (), b"", start.state)], [begins], [start])

    def to_extend(self) -> list[Node]:
        """The spellings to extend next: those that do not cover the prefix yet, then the most probable ones."""
        self._leave_aside()
        if not self._uncovered:
            return self._most_probable()
        nodes, self._uncovered = self._uncovered[:BATCH], self._uncovered[BATCH:]
        return nodes

    def _leave_aside(self) -> None:
        """Drops the least probable of the spellings that do not cover the prefix yet, while they are negligible."""
        negligible = NEGLIGIBLE * self._covered_probability
        self._uncovered.sort(key=lambda node: -node.log_probability)
        while self._uncovered:
            aside = self._aside_probability + math.exp(self._uncovered[-1].log_probability)
            if aside > negligible:
                break
            self._aside_probability = aside
            self._uncovered.pop()

    def _most_probable(self) -> list[Node]:
        """Takes words and unfinished spellings, the most probable first; the unfinished ones that words wait for."""
        nodes: list[Node] = []
        waiting: list[tuple[float, int, str]] = []
        heap, found = self._heap, self._found
        most = -math.log(NEGLIGIBLE * self._covered_probability) if self._covered_probability else math.inf
        while heap and len(nodes) < BATCH and len(found) + len(waiting) < self._k:
            key, order, entry = heap[0]
            if key > most:
                break
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

    def _taken(self, children: _Children, nodes: list[Node]) -> str | None:
        """The word that the next extension is; one that is not finished goes to `nodes`."""
        spelling, before = self._spelling, children.node.tokens
        token = children.take()
        if not spelling.ends[token]:
            nodes.append(children.taken(self._vocabulary))
            return None
        spelled = spelling.word((*before, token)) if before else spelling.words[token]
        return spelled[0] if spelled and spelled[1] in self._kinds else None

    def extensions(self, nodes: Sequence[Node]) -> list[TokenSet]:
        """The tokens that may go on with each spelling; where something typed is left, those that cover it."""
        return [self._spelling.extensions(node.text, self._punctuation, self._typed) for node in nodes]

    def covers(self, nodes: Sequence[Node]) -> bool:
        """Whether these spellings cover what was typed, which all that are extended at once do, or none does."""
        return nodes[0].text.startswith(self._typed)

    def extend(self, nodes: Sequence[Node], sets: Sequence[TokenSet], followings: Sequence[Following]) -> None:
        """Takes spellings, their extensions, and what follows: with the best of these if they cover what was typed."""
        if self.covers(nodes):
            for node, allowed, following in zip(nodes, sets, followings, strict=True):
                assert following.ranked
                self._push(_Children(node, following.ranked, allowed, following))
        else:
            self._cover(nodes, sets, followings)

    def _cover(self, nodes: Sequence[Node], sets: Sequence[TokenSet], followings: Sequence[Following]) -> None:
        """Takes the tokens that cover what is left of the letters, and those that cover some of it and wait."""
        parts = [self._spelling.within(self._typed[len(node.text) :]) for node in nodes]
        rows = [following.log_probabilities for following in followings]
        with torch.inference_mode():
            told = self._calls.covering(rows, [allowed.tensor for allowed in sets], parts)
        for node, allowed, following, part, values, best, probability, scores in zip(
            nodes, sets, followings, parts, *told, strict=True
        ):
            self._covered_probability += math.exp(node.log_probability) * probability
            for token, score in zip(part, scores, strict=True):
                self._uncovered.append(node.followed_by(token, score, self._vocabulary, following.state))
            self._push(_Children(node, Ranked(values, best), allowed, following))

    def _push(self, children: _Children) -> None:
        if children.bound > LEAST:
            heapq.heappush(self._heap, (-children.bound, next(self._order), children))

    def found(self) -> Iterator[tuple[str, float]]:
        """The words found and their probabilities, the most probable first."""
        whole = self._covered_probability if self._typed else 1.0
        return ((word, min(1.0, each / whole)) for word, each in self._found.items())
