"""Which tokens may come next, and the most probable of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

EXCLUDED = 1e30
"""Stands for infinity, which times zero is not a number."""


class TokenSet:
    """Tokens that may come next. Large sets work by a row as long as the vocabulary, small ones by their numbers."""

    def __init__(self, members: Tensor, *, small: bool = False) -> None:
        """`members` is a row `[V]` of ones and zeros in float32, or if `small` the numbers of the tokens."""
        self.small = small
        # Arithmetic, as booleans take torch ten times as long.
        self.tensor = members if small else (members - 1) * EXCLUDED
        """The numbers of the members, or what is added to a row `[V]` to exclude all others."""

    def scores(self, log_probabilities: Tensor) -> Tensor:
        """Of a row `[V]`: those of the members; the others are left out, or lowered by EXCLUDED."""
        return log_probabilities[self.tensor] if self.small else log_probabilities + self.tensor


@dataclass(slots=True)
class Ranked:
    """The best tokens of a set in one row, in falling order; there may be more than these."""

    log_probabilities: list[float]
    tokens: list[int]

    def are_all_of(self, allowed: TokenSet) -> bool:
        """Whether the set is known to have no more."""
        return allowed.small and len(self.tokens) == len(allowed.tensor)


def further(log_probabilities: Tensor, allowed: TokenSet, count: int) -> Ranked:
    """The first `count` of one row `[V]`, or all there are."""
    scores = allowed.scores(log_probabilities)
    values, places = torch.topk(scores, min(count, len(scores)))
    return Ranked(values.tolist(), (allowed.tensor[places] if allowed.small else places).tolist())


class Wanted:
    """The rows of a batch whose next tokens are to be ranked, those of one large set of tokens together."""

    def __init__(self) -> None:
        self._rows: dict[TokenSet, list[int]] = {}

    def add(self, row: int, sets: Iterable[TokenSet]) -> None:
        """Takes the sets of a row and of those that follow it; rows have to rise."""
        for number, allowed in enumerate(sets, row):
            self._rows.setdefault(allowed, []).append(number)

    def arguments(self) -> tuple[list[Tensor], list[list[int]]]:
        """What `RowCalls.advance` is asked for."""
        sets = self._rows
        return [allowed.tensor for allowed in sets], list(sets.values())

    def ranked(self, values: list[Tensor], tokens: list[Tensor]) -> dict[int, Ranked]:
        """What it answers, by row."""
        answers = zip(self._rows.values(), values, tokens, strict=True)
        return {
            row: Ranked(*found)
            for rows, value, token in answers
            for row, *found in zip(rows, value.tolist(), token.tolist(), strict=True)
        }
