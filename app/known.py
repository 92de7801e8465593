"""What follows an opening alone, with which many reviews begin: known once and for all, so that a draw is all to do."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor

from app.sampling import (
    ATTEMPTS,
    HIGHEST_SHARE,
    Chosen,
    SamplingRow,
    SamplingSettings,
    blocks_of,
    choose,
    draw_sorted,
    drawing,
    limits_of,
    passing,
    scrambled,
)

TABLES = 8
"""Settings whose tables are kept; nearly all reviews are written with the same."""
FEW = 8
"""Draws that an event loop has time for; more would hold up what others ask."""


class Known:
    """Natural log-probabilities `[V]` of the next token, and draws from them; may be used from any thread."""

    def __init__(self, log_probabilities: Tensor) -> None:
        self.log_probabilities = log_probabilities
        self._table = lru_cache(TABLES)(partial(_Table, log_probabilities[None]))
        self._drawn: dict[int, float] = {}

    def choose(self, rows: Sequence[SamplingRow]) -> Chosen:
        """Chooses a token for each of `rows`, the same as `sampling.choose` does, to the bit."""
        if not _are_plain(rows):
            return choose(self.log_probabilities.expand(len(rows), -1), rows)
        tokens = [self._table(row.settings).draw(row.uniform) for row in rows]
        return Chosen(tokens, [self._log_probability(token) for token in tokens])

    def is_quick(self, rows: Sequence[SamplingRow]) -> bool:
        """Whether `choose` hardly takes any time of these rows."""
        return len(rows) <= FEW and _are_plain(rows)

    def _log_probability(self, token: int) -> float:
        if token not in self._drawn:
            self._drawn[token] = float(self.log_probabilities[token])
        return self._drawn[token]


def _are_plain(rows: Sequence[SamplingRow]) -> bool:
    return all(row.settings.is_plain and not row.top for row in rows)


class _Table:
    """What `sampling.draw` makes of one row before it draws, and the same draws with hardly a call of torch.

    Such calls take most of its time where there is one row. What they told is kept: a few blocks and tokens have most
    of the probability.
    """

    def __init__(self, scores: Tensor, settings: SamplingSettings) -> None:
        """Takes log-probabilities `[1, V]`."""
        self._scores, self._settings = scores, settings
        temperatures, _, top_p, min_p = drawing([SamplingRow(settings, 0.0)])
        self._probabilities, self._blocks, self._sums, self._largest = blocks_of(scores, temperatures)
        self._limits = limits_of(self._largest, top_p, min_p)
        self._shares = _Shares(self._sums[0])
        self._size = self._blocks.size(2)
        self._inside: dict[int, _Shares] = {}
        self._passing: dict[int, bool] = {}

    def draw(self, number: float) -> int:
        """The token of a number in [0, 1)."""
        for _ in range(ATTEMPTS):
            place, rest = self._shares.find(number)
            if place not in self._inside:
                self._inside[place] = _Shares(self._blocks[0, place])
            token = place * self._size + self._inside[place].find(rest)[0]
            if self._passes(token):
                return token
            number = float(scrambled(torch.tensor(number, dtype=torch.double)))
        return draw_sorted(self._scores, [SamplingRow(self._settings, number)], [number], [0])[0]

    def _passes(self, token: int) -> bool:
        if token not in self._passing:
            value = self._probabilities[:, token : token + 1]
            row = torch.zeros(1, dtype=torch.int64)
            self._passing[token] = bool(
                passing(value, row, self._probabilities, self._sums, self._largest, self._limits)
            )
        return self._passing[token]


class _Shares:
    """Weights `[N]`, in whose sum shares are found as `sampling.find` does it."""

    def __init__(self, weights: Tensor) -> None:
        self._weights = array("d", weights.tolist())
        self._cumulative = array("d", weights.double().cumsum(0).tolist())

    def find(self, share: float) -> tuple[int, float]:
        wanted = share * self._cumulative[-1]
        place = bisect_right(self._cumulative, wanted)
        weight = self._weights[place]
        rest = (wanted - self._cumulative[place] + weight) / weight
        return place, min(max(rest, 0.0), HIGHEST_SHARE)
