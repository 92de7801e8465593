"""What the service knows of the log: entries go in without waiting, a thread of its own writes them in batches."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from app.log.address import reason
from app.log.bodies import keeper
from app.log.database import Database
from app.log.retention import Retention
from app.log.schema import Entry
from app.log.waiting_rows import Row, WaitingRows
from app.log.writing import Values
from app.settings import Settings

FLUSH_SECONDS = 0.1
"""How long rows may gather in the background before they are written: what a crash can lose."""
BATCH_ROWS = 1000
"""Rows of one transaction."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to reach a database that fails; the first ones come sooner."""
SILENT_SECONDS = 5.0
"""After how long an attempt that has not ended counts as failing."""
CLOSING_SECONDS = 3.0
"""How long `close` goes on trying."""
WARNING_SECONDS = 60.0
"""Between two lines in the server's output."""

logger = logging.getLogger(__name__)


class RequestLog:
    """One row an entry, in the order of arrival, whatever the database does meanwhile.

    `record` is for rows that a crash may take, `add` for those that are waited for. A row that has no room is counted
    as dropped; one that cannot be written is tried again until it can, under the same key.
    """

    def __init__(self, settings: Settings) -> None:
        """Opens the database and brings its schema up to date; raises StartupError if rows cannot be written there."""
        self._gather_seconds = 0.0 if settings.log_durability == "commit" else FLUSH_SECONDS
        self._database = Database(settings.database_url, durable=settings.log_durability == "commit")
        self._retention = Retention(self._database, settings.log_max_days, settings.log_max_rows)
        self._keep = keeper(settings)
        self._rows = WaitingRows(settings.log_queue_rows, settings.log_queue_bytes)
        self._instance = uuid4().hex
        self._wake, self._closing = threading.Event(), threading.Event()
        self._give_up = self._next_warning = self._attempt_began = 0.0
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
        self._lost = 0
        self.written = 0

    @property
    def waiting(self) -> int:
        return self._rows.count

    @property
    def waiting_bytes(self) -> int:
        return self._rows.bytes

    @property
    def dropped(self) -> int:
        return self._rows.refused + self._lost

    @property
    def deleted(self) -> int:
        return self._retention.deleted

    @property
    def error(self) -> str | None:
        """Why rows are not written at present; None while they are."""
        began = self._attempt_began
        if not self._failure and began and time.monotonic() - began > SILENT_SECONDS:
            return f"the database has not answered for {time.monotonic() - began:.0f} seconds"
        return self._failure

    def start(self) -> None:
        self._thread.start()

    def record(self, entry: Entry) -> None:
        """Takes an entry, from any thread, without waiting for anything."""
        if not self._rows.add(entry):
            self._warn("it has no room for more rows")
        elif not self._wake.is_set():
            self._wake.set()

    def add(self, entry: Entry) -> Row | None:
        """Takes an entry that the event loop is going to wait for; None if there is no room for it."""
        row = self._rows.add(entry, asyncio.get_running_loop().create_future())
        self._wake.set()
        if not row:
            self._warn("it has no room for more rows")
        return row

    def amend(self, row: Row, entry: Entry) -> None:
        """Has the log say `entry` in place of what `row` said, even if that is written already."""
        self._rows.amend(row, entry)
        self._wake.set()

    def close(self) -> None:
        """Writes what is waiting, for CLOSING_SECONDS at most if the database fails, and stops the thread."""
        self._give_up = time.monotonic() + CLOSING_SECONDS
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(CLOSING_SECONDS + SILENT_SECONDS)
        if self._rows.count:
            self._lost += self._rows.count
            logger.error("%d rows of the request log are lost: %s", self._rows.count, self.error)
        if not self._thread.is_alive():
            self._database.close()

    # ---- the log's thread ----

    def _work(self) -> None:
        while self._rest():
            self._gather()
            if (batch := self._rows.take(BATCH_ROWS)) and not self._write(batch):
                return
            self._try(self._retention.delete_a_piece)

    def _rest(self) -> bool:
        """Waits until there is something to do; False once the log is closed and empty."""
        if not self._rows.ready() and not self._closing.is_set():
            self._wake.wait(self._retention.seconds_until_due())
        return bool(self._rows.ready()) or not self._closing.is_set()

    def _gather(self) -> None:
        if 0 < self._rows.ready() < BATCH_ROWS:
            self._closing.wait(self._gather_seconds)
        self._wake.clear()

    def _write(self, batch: Sequence[Row]) -> bool:
        """Writes the batch, however long that takes; False if the log is closed and there is no more time."""
        pause = FLUSH_SECONDS
        while True:
            entries = [row.entry for row in batch]
            rows = [self._values(*pair) for pair in zip(batch, entries, strict=True)]
            if self._try(lambda rows=rows: self._database.write(rows)):
                self._note_written(batch, entries)
                return True
            if self._closing.is_set() and time.monotonic() > self._give_up:
                return False
            time.sleep(FLUSH_SECONDS) if self._closing.is_set() else self._closing.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _try(self, work: Any) -> bool:
        self._attempt_began = time.monotonic()
        try:
            work()
        except Exception as error:  # whatever it is, the thread has to go on
            self._failure = reason(error)
            self._warn(self._failure)
            return False
        finally:
            self._attempt_began = 0.0
        self._failure = None
        return True

    def _note_written(self, batch: Sequence[Row], entries: Sequence[Entry]) -> None:
        self._rows.done(batch, entries)
        self.written += len(batch)
        futures = [row.committed for row in batch if row.committed]
        if futures:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                futures[0].get_loop().call_soon_threadsafe(_resolve, futures)

    def _values(self, row: Row, entry: Entry) -> Values:
        *others, request_body, response_body = entry
        # Rising as text, too: the index of keys grows at its end.
        key = f"{self._instance}-{row.number:012}"
        return (*others, self._keep(request_body), self._keep(response_body), key)

    def _warn(self, why: str) -> None:
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + WARNING_SECONDS
            logger.warning(
                "the request log cannot be written: %s (%d rows wait, %d are lost; more in GET /health)",
                why, self.waiting, self.dropped,
            )  # fmt: skip


def _resolve(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
