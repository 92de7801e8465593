"""Which rows are old enough to go: by age, by number, or both; deleted piece by piece between two batches."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.log.database import Database

EVERY_SECONDS = 60.0


def _utc() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class SteadyClock:
    """The time in UTC, but never ahead of the time at the start and what has gone by since.

    A clock that is set forward would otherwise make all of the log too old. One that is wrong at the start is believed:
    a log of long ago looks the same.
    """

    def __init__(self, wall: Callable[[], datetime] = _utc, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._started, self._began = wall(), elapsed()

    def now(self) -> datetime:
        return min(self._wall(), self._started + timedelta(seconds=self._elapsed() - self._began))


class Retention:
    """Deletes rows older than `max_days` and the oldest beyond `max_rows`; 0 keeps all."""

    def __init__(self, database: Database, max_days: float, max_rows: int, clock: SteadyClock | None = None) -> None:
        clock, age = clock or SteadyClock(), timedelta(days=max_days)
        self._deletions: list[Callable[[], int]] = []
        if max_days:
            self._deletions.append(lambda: database.delete_before(clock.now() - age))
        if max_rows:
            self._deletions.append(lambda: database.delete_beyond(max_rows))
        self._due = time.monotonic()
        self.deleted = 0

    def seconds_until_due(self) -> float | None:
        """How long there is nothing to do; None for ever."""
        return max(0.0, self._due - time.monotonic()) if self._deletions else None

    def delete_a_piece(self) -> None:
        """Deletes a piece if it is time to; as long as there is more, it stays time."""
        if self.seconds_until_due() == 0.0:
            self._due = time.monotonic() + EVERY_SECONDS  # also where it fails
            if deleted := sum(deletion() for deletion in self._deletions):
                self.deleted += deleted
                self._due = time.monotonic()
