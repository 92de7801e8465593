"""Admission before work: how much may wait, and when to come again."""

import math
import threading
import time
from collections.abc import Callable

from app.errors import Overloaded

MEMORY_SECONDS = 5.0
"""How far back the current rate of work looks."""


class Admission:
    """Counts the rows and tokens of work that wait or run; may be used from any thread."""

    def __init__(
        self, max_rows: int, max_tokens: int, longest_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`longest_seconds` is the longest that anybody is told to wait."""
        self._clock = clock
        self._max_rows, self._max_tokens, self._longest = max_rows, max_tokens, longest_seconds
        self._lock = threading.Lock()
        self._finished_rows = self._finished_tokens = 0.0  # each fading by a factor of e in MEMORY_SECONDS
        self._faded = clock()
        self.rows = self.tokens = 0

    def enter(self, rows: int, tokens: int) -> None:
        """Admits work; raises Overloaded where that would be too much at once. Alone, work of any size is admitted."""
        with self._lock:
            if self.rows and (self.rows + rows > self._max_rows or self.tokens + tokens > self._max_tokens):
                seconds = self._seconds_until(rows, tokens)
                raise Overloaded(
                    f"{self.rows} rows and {self.tokens} tokens of work are waiting; come again in {seconds} seconds.",
                    headers={"Retry-After": str(seconds)},
                )
            self.rows += rows
            self.tokens += tokens

    def leave(self, rows: int, tokens: int) -> None:
        with self._lock:
            self._fade()
            self.rows -= rows
            self.tokens -= tokens
            self._finished_rows += rows
            self._finished_tokens += tokens

    def _seconds_until(self, rows: int, tokens: int) -> int:
        """How long until there is room for so much more, if work goes on at the rate of the last seconds."""
        self._fade()
        seconds = 1.0
        for excess, finished in (
            (self.rows + rows - self._max_rows, self._finished_rows),
            (self.tokens + tokens - self._max_tokens, self._finished_tokens),
        ):
            if excess > 0:
                seconds = max(seconds, excess * MEMORY_SECONDS / finished if finished else math.inf)
        return math.ceil(min(seconds, max(1.0, self._longest)))

    def _fade(self) -> None:
        now = self._clock()
        factor = math.exp((self._faded - now) / MEMORY_SECONDS)
        self._finished_rows *= factor
        self._finished_tokens *= factor
        self._faded = now
