"""The request log: one row a request in a database, written in batches by one thread that nobody waits for."""

import logging
import threading
import time
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from app.errors import StartupError

metadata = MetaData()
requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", DateTime, nullable=False, comment="arrival, UTC"),
    Column("request_id", String(128), nullable=False),
    Column("route", String(200), nullable=False),
    Column("status", Integer, nullable=False),
    Column("latency_ms", Float, nullable=False, comment="from arrival to the last byte of the answer"),
    Column("queue_ms", Float, nullable=False, comment="of that, waiting for the model"),
    Column("tokens_in", Integer, nullable=False),
    Column("tokens_out", Integer, nullable=False),
    Column("model", String(100), nullable=False),
    Column("request_body", Text),
    Column("response_body", Text),
    Index("requests_by_time", "time"),
)

FLUSH_SECONDS = 0.1
"""How long rows may gather before they are written: what a crash can lose, and what one commit is shared by."""
BATCH_ROWS = 1000
LONGEST_WAIT = 5.0
"""Seconds between two attempts to reach a database that fails."""
CLOSING_SECONDS = 3.0
"""How long `close` goes on trying."""

logger = logging.getLogger(__name__)


class Entry(NamedTuple):
    """A row of the log; bodies are None where they are not kept."""

    time: datetime
    request_id: str
    route: str
    status: int
    latency_ms: float
    queue_ms: float
    tokens_in: int
    tokens_out: int
    model: str
    request_body: str | None
    response_body: str | None


class RequestLog:
    """Takes entries from any thread without blocking; `close` writes what is left.

    What does not fit into the queue is dropped and counted; a database that fails is tried again until it works.
    """

    def __init__(self, url: str, queue_rows: int) -> None:
        """Opens the database and creates the table; raises StartupError if rows cannot be written there."""
        self._engine = _open(url)
        self._queue_rows = queue_rows
        self._waiting: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="request-log", daemon=True)
        self._being_written = 0
        self.written = 0
        self.dropped = 0
        self.error: str | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting) + self._being_written

    def start(self) -> None:
        self._thread.start()

    def record(self, entry: Entry) -> None:
        with self._changed:
            if len(self._waiting) >= self._queue_rows:
                self.dropped += 1
                return
            self._waiting.append(entry)
            self._changed.notify()

    def close(self) -> None:
        """Writes what is waiting and stops the thread."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._engine.dispose()

    # ---- the log's thread ----

    def _work(self) -> None:
        while batch := self._take():
            self._write(batch)
            self._being_written = 0

    def _take(self) -> list[dict[str, Any]]:
        """The next rows to write; none when the log is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
        self._closing.wait(FLUSH_SECONDS)
        with self._changed:
            count = self._being_written = min(BATCH_ROWS, len(self._waiting))
            return [self._waiting.popleft()._asdict() for _ in range(count)]

    def _write(self, batch: list[dict[str, Any]]) -> None:
        wait, give_up = FLUSH_SECONDS, None
        while True:
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(requests), batch)
            except SQLAlchemyError as error:
                self.error = _reason(error)
                logger.warning("the request log cannot be written, trying again: %s", self.error)
                if self._closing.is_set():
                    give_up = give_up or time.monotonic() + CLOSING_SECONDS
                    if time.monotonic() >= give_up:
                        self.dropped += len(batch)
                        logger.error("%d rows of the request log are lost: %s", len(batch), self.error)
                        return
                time.sleep(wait) if self._closing.is_set() else self._closing.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                self.written += len(batch)
                self.error = None
                return


def _open(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _set_up_sqlite)
        metadata.create_all(engine)
        _try_to_write(engine)
    except (ArgumentError, ImportError) as error:
        raise StartupError(f"DATABASE_URL is not a database address that can be used ({_reason(error)}).") from None
    except OSError as error:
        raise StartupError(f"{error.filename}: {error.strerror}; {_ADVICE}") from None
    except SQLAlchemyError as error:
        shown = parsed.render_as_string(hide_password=True)
        raise StartupError(f"The request log {shown} cannot be written ({_reason(error)}); {_ADVICE}") from None
    return engine


_ADVICE = "set DATABASE_URL to a database that can be, such as sqlite:////var/lib/review-lm/requests.sqlite3."


def _set_up_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    # Readers never block the writer, nor the other way round; a commit survives the process, if not a power cut.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


def _try_to_write(engine: Engine) -> None:
    row = Entry(datetime(2000, 1, 1), "", "", 0, 0.0, 0.0, 0, 0, "", None, None)
    with engine.connect() as connection:
        connection.execute(insert(requests), row._asdict())
        connection.rollback()


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
