"""Writing rows: added, or put in the place of those that have their key already."""

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from app.log.schema import requests

COLUMNS = [column.name for column in requests.columns if column.name != "id"]
PAGES = (128, 64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement of SQLite's, the most that there are for.

Its driver gives the interpreter's lock away at each step of a statement; to have it back from a busy event loop takes
longer than to write the row.
"""

Values = tuple[Any, ...]
"""Those of a row, in the order of COLUMNS, of which the time is the first: an `Entry` and the row's key."""


def write_rows(connection: Connection, rows: Sequence[Values]) -> None:
    """Writes rows in the transaction that `connection` is in."""
    if connection.dialect.name == "sqlite":
        for page in _pages(rows):
            connection.exec_driver_sql(_page_statement(len(page)), tuple(itertools.chain.from_iterable(page)))
    elif rows:
        connection.execute(_upsert("postgresql"), [dict(zip(COLUMNS, row, strict=True)) for row in rows])


def _pages(rows: Sequence[Values]) -> Iterator[list[Values]]:
    left = [_stored(row) for row in rows]
    for size in PAGES:
        while len(left) >= size:
            yield left[:size]
            del left[:size]


def _upsert(dialect: str) -> Any:
    insert = postgresql.insert(requests) if dialect == "postgresql" else sqlite.insert(requests)
    replaced = {name: insert.excluded[name] for name in COLUMNS if name != "row_key"}
    return insert.on_conflict_do_update(index_elements=["row_key"], set_=replaced)


@cache
def _page_statement(rows: int) -> str:
    # Kept as text, as SQLAlchemy compiles a statement of several rows each time that it is run.
    page = _upsert("sqlite").values([dict.fromkeys(COLUMNS)] * rows)
    return str(page.compile(dialect=sqlite.dialect()))


def _stored(row: Values) -> Values:
    """The values of a row as SQLite keeps them: the time as the text that SQLAlchemy reads, made by the faster way."""
    time, *others = row
    return (time.isoformat(" ", "microseconds"), *others)
