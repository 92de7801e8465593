"""Which rows are old enough to go: by age, by number, or both; deleted piece by piece between two batches."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.log.database import Database

EVERY_SECONDS = 60.0


class Retention:
    """Deletes rows older than `max_days` and the oldest beyond `max_rows`; 0 keeps all."""

    def __init__(self, database: Database, max_days: float, max_rows: int) -> None:
        self._deletions: list[Callable[[], int]] = []
        if max_days:
            age = timedelta(days=max_days)
            self._deletions.append(lambda: database.delete_before(datetime.now(UTC).replace(tzinfo=None) - age))
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
