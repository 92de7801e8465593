"""The states after texts seen before, so that typing on costs the new tokens only.

A state is a few kilobytes and depends on the exact text before it and the token that opened it alone, so one that was
kept gives the same bits as one computed again. Least recently used first out, within a bound in bytes.

A text is looked up by its beginnings. Only those that end at a seam count: there the tokens of the text are those of
what is before it, followed by those of what is after it.
"""

import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from app.bounded_cache import BoundedCache
from app.known import Known

STRIDE = 16
"""Besides the end of each text, the state at every so many seams is kept, so that going back finds one close by."""
NEAREST = 8
"""Seams from the end back at which every one is looked at; a keystroke moves the end by one or two."""


class Kept(NamedTuple):
    """The first `characters` of a text, which hold `seams` seams and, the opening among them, `tokens` tokens.

    `state [S]` is the one after them, and `known` what comes next, where that is kept, too.
    """

    characters: int
    seams: int
    tokens: int
    state: Tensor
    known: Known | None = None


class StateCache(BoundedCache[tuple[int, str], Kept]):
    """Maps an opening token and a text to the state after them; may be used from any thread."""

    def longest(self, opening: int, text: str) -> Kept | None:
        """Finds the longest beginning of `text` that is kept, all of it or one that ends at a seam."""
        return self.first_of((opening, text[:end]) for end in _places(text))

    def keep(
        self,
        opening: int,
        text: str,
        seams: int,
        tokens: int,
        state: Tensor,
        known: Known | None = None,
    ) -> None:
        """Keeps the state `[S]` after `text`, and what `Kept` says of the text; nobody may change the tensors.

        They have to have memory of their own: a row of a batch would hold the whole batch. The least recently used are
        forgotten where room is needed.
        """
        kept = Kept(len(text), seams, tokens, state, known)
        rows = [state, known.log_probabilities] if known else [state]
        self.put((opening, text), kept, memory_of(text, rows))


def memory_of(text: str, rows: Sequence[Tensor]) -> int:
    """Bytes that rows take which are kept for a text, and the text itself."""
    return 4 * len(text) + sum(row.nbytes for row in rows)


def seams(text: str, start: int = 0) -> Iterator[int]:
    """The places after `start` at which a text may be cut without changing its tokens.

    They are single spaces between two words or marks: a pre-token takes in the space before it and none after it. What
    a space is to the vocabulary's pattern is only certain beside plain characters, so no other places count.
    """
    place = text.find(" ", start)
    while place >= 0:
        if _is_seam(text, place):
            yield place
        place = text.find(" ", place + 1)


def _places(text: str) -> Iterator[int]:
    """Where a state may be kept, the longest beginning first."""
    yield len(text)
    near, place = 0, text.rfind(" ")
    while near < NEAREST and place > 0:
        if _is_seam(text, place):
            near += 1
            yield place
        place = text.rfind(" ", 0, place)
    if place > 0:
        yield from [seam for number, seam in enumerate(seams(text[: place + 1]), 1) if number % STRIDE == 0][::-1]


def _is_seam(text: str, place: int) -> bool:
    return 0 < place < len(text) - 1 and _plain(text[place - 1]) and _plain(text[place + 1])


def _plain(character: str) -> bool:
    return character.isalnum() or character in string.punctuation
