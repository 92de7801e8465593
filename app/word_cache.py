"""What follows a text and the spellings of words behind it, so that a letter more runs only the spellings that are new.

All letters of a word are asked for behind the same text, and mostly go on with the same spellings. What is kept gives
the same bits as what is computed again, as the states of `app/state_cache.py` do.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from app.bounded_cache import BoundedCache
from app.ranking import Ranked, TokenSet
from app.row_calls import RowCalls
from app.state_cache import memory_of


class Following(NamedTuple):
    """What follows a text and a spelling: log-probabilities `[V]`, the state `[S]`, and the best tokens of a set."""

    log_probabilities: Tensor
    state: Tensor
    ranked: Ranked | None = None


class Place(NamedTuple):
    """Where something follows: behind an opening, a text, and the tokens of a spelling, none where a word begins."""

    opening: int
    text: str
    spelling: tuple[int, ...] = ()


@dataclass(slots=True)
class _Kept:
    log_probabilities: Tensor
    state: Tensor
    context_tokens: int
    ranked: dict[TokenSet, Ranked] = field(default_factory=dict)
    """The best tokens of large sets, of which there are a few."""


class WordCache(BoundedCache[Place, _Kept]):
    """What follows places; may be used from any thread. A hit is what follows a text, without a spelling."""

    def __init__(self, max_bytes: int, calls: RowCalls) -> None:
        super().__init__(max_bytes)
        self._calls = calls

    def begin(self, place: Place, among: TokenSet | None) -> tuple[Following, int] | None:
        """What follows a text if that is kept, with the best tokens `among` a large set, and its number of tokens."""
        kept = self.first_of([place])
        return (self._following(kept, among), kept.context_tokens) if kept else None

    def find(self, place: Place, among: TokenSet | None) -> Following | None:
        """What follows a spelling if that is kept, with the best tokens `among` a large set."""
        kept = self.get(place)
        return self._following(kept, among) if kept else None

    def keep(self, place: Place, following: Following, context_tokens: int = 0) -> None:
        """Keeps what follows; the text of a place without a spelling has so many tokens, its opening among them."""
        # A row of a batch would hold the whole batch.
        row = following.log_probabilities
        kept = _Kept(row if has_own_memory(row) else row.clone(), following.state, context_tokens)
        self.put(place, kept, memory_of(place.text, [row, following.state]))

    def _following(self, kept: _Kept, among: TokenSet | None) -> Following:
        if among and among not in kept.ranked:
            with torch.inference_mode():
                kept.ranked[among] = Ranked(*self._calls.ranked(kept.log_probabilities, among.tensor))
        return Following(kept.log_probabilities, kept.state, kept.ranked[among] if among else None)


def has_own_memory(row: Tensor) -> bool:
    """Whether a row shares its memory with no other."""
    return row.untyped_storage().nbytes() == row.nbytes
