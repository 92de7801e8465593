"""Writing rows: added, or put in the place of those that have their key already."""

import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from app.log.schema import requests

COLUMNS = [column.name for column in requests.columns if column.name != "id"]
PAGE_ROWS = 32
"""Rows of one statement of SQLite's, where there are so many.

Its driver gives the interpreter's lock away at each step of a statement; to have it back from a busy event loop takes
longer than to write the row.
"""

Values = tuple[Any, ...]
"""Those of a row, in the order of COLUMNS, of which the time is the first: an `Entry` and the row's key."""


def write_rows(connection: Connection, rows: Sequence[Values]) -> None:
    """Writes rows in the transaction that `connection` is in."""
    in_pages = len(rows) - len(rows) % PAGE_ROWS if connection.dialect.name == "sqlite" else 0
    for start in range(0, in_pages, PAGE_ROWS):
        values = map(_stored, rows[start : start + PAGE_ROWS])
        connection.exec_driver_sql(_page_statement(), tuple(itertools.chain.from_iterable(values)))
    if others := [dict(zip(COLUMNS, row, strict=True)) for row in rows[in_pages:]]:
        connection.execute(_upsert(connection.dialect.name), others)


def _upsert(dialect: str) -> Any:
    insert = postgresql.insert(requests) if dialect == "postgresql" else sqlite.insert(requests)
    replaced = {name: insert.excluded[name] for name in COLUMNS if name != "row_key"}
    return insert.on_conflict_do_update(index_elements=["row_key"], set_=replaced)


@cache
def _page_statement() -> str:
    # Kept as text, as SQLAlchemy compiles a statement of several rows each time that it is run.
    page = _upsert("sqlite").values([dict.fromkeys(COLUMNS)] * PAGE_ROWS)
    return str(page.compile(dialect=sqlite.dialect()))


def _stored(row: Values) -> Values:
    """The values of a row as SQLite keeps them: the time as the text that SQLAlchemy reads, made by the faster way."""
    time, *others = row
    return (time.isoformat(" ", "microseconds"), *others)
