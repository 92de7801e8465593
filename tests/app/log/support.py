"""What tests of the log share: a log with chosen settings, an entry, and what is in its SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from app.log.request_log import RequestLog
from app.log.schema import Entry
from app.settings import Settings

COLUMNS = (
    "time, request_id, route, status, latency_ms, queue_ms, tokens_in, tokens_out, model, request_body, response_body"
)


def log_of(url: str, rows: int = 1000, **settings: Any) -> RequestLog:
    """A log at `url`; `settings` are those of the log without `log_`."""
    named = {f"log_{name}": value for name, value in settings.items()}
    return RequestLog(Settings(database_url=url, log_queue_rows=rows, **named))


def entry(request_id: str, body: bytes = b"{}", time: datetime = datetime(2026, 1, 2, 3, 4, 5, 678)) -> Entry:
    return Entry(time, request_id, "/score", 200, 1.5, 0.25, 3, 4, "m", body, "…".encode())


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def ids(path: Path) -> list[str]:
    """The request ids in the order of their rows."""
    with connected(path) as connection:
        return [row[0] for row in connection.execute("SELECT request_id FROM requests ORDER BY id")]
