"""The most probable of the tokens that may come next, for many rows at once.

Sorting 16 000 numbers takes longer than computing them. So the row is cut into blocks, the best blocks are found by
their largest number, and only those are sorted: the k largest numbers lie in the k blocks with the largest maxima.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 64
SORTED = 16
"""Tokens of a row that are sorted at first; a search seldom asks for more."""
EXCLUDED = 1e30
"""Stands for infinity, which times zero is not a number."""


class TokenSet:
    """Tokens that may come next. Large sets work by a row as long as the vocabulary, small ones by their numbers."""

    def __init__(self, members: Tensor, *, small: bool = False) -> None:
        """`members` is a row `[V]` of ones and zeros in float32, or if `small` the numbers of the tokens."""
        self.small = small
        self.members = members
        # Arithmetic, as booleans take torch ten times as long.
        self.lowering = torch.empty(0) if small else (members - 1) * EXCLUDED

    def scores(self, log_probabilities: Tensor) -> Tensor:
        """Of a row `[V]`: those of the members; the others are left out, or lowered by EXCLUDED."""
        return log_probabilities[self.members] if self.small else log_probabilities + self.lowering

    def tokens(self, places: Tensor) -> list[int]:
        """The tokens at these places of `scores`."""
        numbers: list[int] = (self.members[places] if self.small else places).tolist()
        return numbers


@dataclass(slots=True)
class Ranked:
    """The best tokens of a set in one row, in falling order; there may be more than these."""

    log_probabilities: list[float]
    tokens: list[int]


def best(log_probabilities: Tensor, sets: Sequence[TokenSet]) -> list[Ranked]:
    """Ranks, for each row of `log_probabilities [B, V]`, the tokens of its set: the first SORTED or more."""
    ranked: list[Ranked | None] = [None] * len(sets)
    for allowed in set(sets):
        rows = [row for row, other in enumerate(sets) if other is allowed]
        if allowed.small:
            for row in rows:
                ranked[row] = further(log_probabilities[row], allowed, SORTED)
            continue
        chosen = log_probabilities if len(rows) == len(sets) else log_probabilities[rows]
        values, tokens = _largest(chosen + allowed.lowering)
        for row, *found in zip(rows, values.tolist(), tokens.tolist(), strict=True):
            ranked[row] = Ranked(*found)
    return [row for row in ranked if row is not None]


def further(log_probabilities: Tensor, allowed: TokenSet, count: int) -> Ranked:
    """The first `count` of one row `[V]`, or all there are."""
    scores = allowed.scores(log_probabilities)
    values, places = torch.topk(scores, min(count, len(scores)))
    return Ranked(values.tolist(), allowed.tokens(places))


def _largest(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The SORTED largest of each row `[B, V]`, and where they stand."""
    rows, size = scores.shape
    count, rest = size // BLOCK, size % BLOCK
    if count < 2 * SORTED or rest:
        return torch.topk(scores, min(SORTED, size))
    blocks = scores.view(rows * count, BLOCK)
    _, chosen = torch.topk(blocks.amax(dim=1).view(rows, count), SORTED)
    own = (chosen + torch.arange(0, rows * count, count).unsqueeze(1)).flatten()
    values, inside = torch.topk(blocks.index_select(0, own).view(rows, SORTED * BLOCK), SORTED)
    return values, chosen.gather(1, inside // BLOCK) * BLOCK + inside % BLOCK
