"""Admission before work: how much may wait, and when to come again.

A limit has two things to do, which ask for different ones: whoever comes after a moment's standstill shall be let in,
and where more comes than can be done, those who are let in shall not be late. So the limit of reviews is for a moment:
once somebody was refused, and until nobody was for a while, no more than a share of it is let in (as CoDel tells a
burst from a queue that stays: Nichols & Jacobson 2012).
"""

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from app.errors import Overloaded

MEMORY_SECONDS = 5.0
"""How far back the current rate of work looks."""
FADING_SECONDS = 0.05
"""Work that ends within so much of each other counts as ending at once, as reckoning how it fades takes its time."""
LASTING = 3 / 8
"""Share of the limit of reviews that is let in under a lasting overload."""
CALM_SECONDS = 1.0
"""How long nobody was refused when as many reviews are let in again as the limit says."""


class Work(NamedTuple):
    """How much of the engine a request takes: rows at once, tokens in all, and how many of the rows write reviews.

    Reviews count by themselves because each goes on for many turns and shares every one with the others: too many
    would make all of them late, while texts and keystrokes take their turns beside them.
    """

    rows: int = 1
    tokens: int = 1
    reviews: int = 0


class Admission:
    """Counts the work that waits or runs; may be used from any thread."""

    def __init__(self, limits: Work, longest_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`longest_seconds` is the longest that anybody is told to wait."""
        self._clock = clock
        self._all = self._limits = limits
        self._calm_at = 0.0
        self._longest = longest_seconds
        self._lock = threading.Lock()
        self._finished = (0.0, 0.0, 0.0)  # as `Work` has them, each fading by a factor of e in MEMORY_SECONDS
        self._faded = clock()
        self.admitted = Work(0, 0, 0)

    def enter(self, work: Work) -> None:
        """Admits work of any size; raises Overloaded where there is as much of its kind already as a limit allows."""
        with self._lock:
            rows, tokens, reviews = self.admitted
            if self._limits is not self._all and self._clock() > self._calm_at:
                self._limits = self._all
            limits = self._limits
            if rows >= limits.rows or tokens >= limits.tokens or (work.reviews and reviews >= limits.reviews):
                refusal = self._refusal(work)
                if work.reviews and reviews >= limits.reviews:
                    self._limits = self._all._replace(reviews=math.ceil(LASTING * self._all.reviews))
                    self._calm_at = self._clock() + CALM_SECONDS
                raise refusal
            self.admitted = Work(rows + work.rows, tokens + work.tokens, reviews + work.reviews)

    def leave(self, work: Work) -> None:
        with self._lock:
            if self._clock() > self._faded + FADING_SECONDS:
                self._fade()
            rows, tokens, reviews = self.admitted
            self.admitted = Work(rows - work.rows, tokens - work.tokens, reviews - work.reviews)
            rows_done, tokens_done, reviews_done = self._finished
            self._finished = rows_done + work.rows, tokens_done + work.tokens, reviews_done + work.reviews

    def _refusal(self, work: Work) -> Overloaded:
        """Tells when there is room again, if work goes on at the rate of the last seconds."""
        self._fade()
        full, seconds = [], 1.0
        for name, asked, admitted, limit, finished in zip(
            Work._fields, work, self.admitted, self._limits, self._finished, strict=True
        ):
            if asked and admitted >= limit:
                full.append(f"{admitted} {name}")
                seconds = max(seconds, (admitted - limit + 1) * MEMORY_SECONDS / finished if finished else math.inf)
        wait = math.ceil(min(seconds, max(1.0, self._longest)))
        return Overloaded(
            f"{' and '.join(full)} of work are waiting; come again in {wait} seconds.",
            headers={"Retry-After": str(wait)},
        )

    def _fade(self) -> None:
        now = self._clock()
        factor = math.exp((self._faded - now) / MEMORY_SECONDS)
        rows, tokens, reviews = self._finished
        self._finished = rows * factor, tokens * factor, reviews * factor
        self._faded = now
