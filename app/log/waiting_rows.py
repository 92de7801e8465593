"""The rows that wait for the database, bounded in number and in bytes."""

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import Sequence

from app.log.schema import Entry

ROW_BYTES = 1000
"""About the memory of a row without its bodies."""


class Row:
    """An entry on its way into the database; `committed` is done once it is there."""

    __slots__ = ("bytes", "committed", "entry", "number", "written")

    def __init__(self, number: int, entry: Entry, size: int, committed: "asyncio.Future[None] | None") -> None:
        self.number, self.entry, self.bytes, self.committed = number, entry, size, committed
        self.written = False

    async def is_committed(self, seconds: float) -> bool:
        """Waits, for so long at most, until the row is in the database."""
        assert self.committed
        await asyncio.wait({self.committed}, timeout=seconds)
        return self.committed.done()


class WaitingRows:
    def __init__(self, most_rows: int, most_bytes: int) -> None:
        self._most_rows, self._most_bytes = most_rows, most_bytes
        self._rows: deque[Row] = deque()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.count = 0
        """Rows that are not in the database yet, those that are being written counted too."""
        self.bytes = 0
        self.refused = 0

    def add(self, entry: Entry, committed: "asyncio.Future[None] | None" = None) -> Row | None:
        """Takes an entry from any thread; None, and counted, if there is no room for it."""
        size = ROW_BYTES + len(entry.request_body) + len(entry.response_body)
        with self._lock:
            if self.count >= self._most_rows or self.bytes + size > self._most_bytes:
                self.refused += 1
                return None
            row = Row(next(self._numbers), entry, size, committed)
            self._rows.append(row)
            self.count += 1
            self.bytes += size
        return row

    def amend(self, row: Row, entry: Entry) -> None:
        """Has `entry` in the database in place of what the row said, even if that has been written already."""
        with self._lock:
            row.entry = entry
            if row.written:
                self._put_back(row)

    def ready(self) -> int:
        """Rows that `take` could take."""
        return len(self._rows)

    def take(self, most: int) -> list[Row]:
        """The oldest rows; they stay counted until they are `done`."""
        with self._lock:
            return [self._rows.popleft() for _ in range(min(most, len(self._rows)))]

    def done(self, rows: Sequence[Row], entries: Sequence[Entry]) -> None:
        """Lets go of rows, of which these entries were written; those that were amended meanwhile wait again."""
        with self._lock:
            for row, entry in zip(rows, entries, strict=True):
                row.written = True
                self.count -= 1
                self.bytes -= row.bytes
                if row.entry is not entry:
                    self._put_back(row)

    def _put_back(self, row: Row) -> None:
        row.written = False
        self._rows.append(row)
        self.count += 1
        self.bytes += row.bytes
