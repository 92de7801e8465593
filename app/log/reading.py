"""What the command line asks of the log: rows that match, the newest first, or as they come."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, Select, create_engine, func, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from app.errors import StartupError
from app.log.address import parsed, reason
from app.log.schema import requests

COLUMNS = [column for column in requests.columns if column.name != "row_key"]
PIECE_ROWS = 500
"""Rows that are in memory at once."""
POLL_SECONDS = 0.5
LATE_ROWS = 1000
"""How far back `follow` looks: of several processes that write to PostgreSQL, a later row may be there sooner."""

Rows = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Filter:
    """Which rows are meant; None leaves a part open. Times are UTC, `since` inclusive and `until` exclusive."""

    route: str | None = None
    status: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    request_id: str | None = None
    slower_than: float | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        columns = requests.c
        conditions: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
            (self.route, lambda route: columns.route == route),
            (self.status, lambda status: columns.status == status),
            (self.since, lambda since: columns.time >= since),
            (self.until, lambda until: columns.time < until),
            (self.request_id, lambda request_id: columns.request_id == request_id),
            (self.slower_than, lambda latency: columns.latency_ms > latency),
        ]
        return query.where(*(condition(value) for value, condition in conditions if value is not None))


@contextmanager
def reading(url: str) -> Iterator[Engine]:
    """The log at `url`, which is not written to; raises StartupError, with a sentence, for whatever goes wrong."""
    address = parsed(url)
    shown = address.render_as_string(hide_password=True)
    if _lacks_its_file(address):
        raise StartupError(f"There is no request log at {shown}; set DATABASE_URL or --database to the service's.")
    try:
        engine = create_engine(address, poolclass=NullPool)  # each look opens the file that is there then
        try:
            yield engine
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise StartupError(f"The request log {shown} cannot be read: {reason(error)}.") from None


def newest(engine: Engine, which: Filter, most: int) -> Rows:
    """The rows that match, the newest first; `most` 0 gives all of them."""
    query = which.narrow(select(*COLUMNS)).order_by(requests.c.id.desc())
    with engine.connect().execution_options(yield_per=PIECE_ROWS) as connection:
        for row in connection.execute(query.limit(most) if most else query):
            yield dict(row._mapping)


def follow(engine: Engine, which: Filter, stopped: Callable[[], bool]) -> Rows:
    """Rows that match as they are written, from now on; `stopped` is asked after each look."""
    with engine.connect() as connection:
        seen = _ids_after(connection, _last_id(connection) - LATE_ROWS)
    while not stopped():
        time.sleep(POLL_SECONDS)
        with nullcontext() if _lacks_its_file(engine.url) else engine.connect() as connection:
            if not connection or not inspect(connection).has_table(requests.name):
                seen = set()  # the service is making the log anew
                continue
            if _last_id(connection) < max(seen, default=0):
                seen = set()  # the file was made anew, and its rows are counted from one
            latest = _ids_after(connection, max(seen, default=0) - LATE_ROWS)
            yield from _rows(connection, which, sorted(latest - seen))
            seen = latest


def _lacks_its_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file()


def _last_id(connection: Connection) -> int:
    return connection.execute(select(func.max(requests.c.id))).scalar() or 0


def _ids_after(connection: Connection, last: int) -> set[int]:
    return set(connection.execute(select(requests.c.id).where(requests.c.id > last)).scalars())


def _rows(connection: Connection, which: Filter, ids: list[int]) -> Rows:
    for start in range(0, len(ids), PIECE_ROWS):
        chosen = select(*COLUMNS).where(requests.c.id.in_(ids[start : start + PIECE_ROWS]))
        for row in connection.execute(which.narrow(chosen).order_by(requests.c.id)):
            yield dict(row._mapping)
