"""The database of the log: SQLite or PostgreSQL, opened anew whenever it failed. Used by one thread at a time."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, delete, func, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from app.errors import StartupError
from app.log.address import ADVICE, is_sqlite, parsed, reason
from app.log.migrate import ForeignTable, migrate
from app.log.schema import requests
from app.log.sqlite import WatchedFile, set_up
from app.log.writing import Values, write_rows

OPENING_SECONDS = 10.0
"""How long the start waits for the lock of another process."""
PIECE_ROWS = 500
"""Rows of one deletion: it takes milliseconds, and rows that come in wait no longer."""


class Database:
    def __init__(self, url: str, durable: bool) -> None:
        """Opens the database, in the latest schema; raises StartupError if rows cannot be written there."""
        self._url, self._durable = parsed(url), durable
        self._file = WatchedFile(Path(str(self._url.database))) if is_sqlite(self._url) else None
        self._engine: Engine | None = None
        try:
            self._open_when_free()
        except (OSError, ImportError, SQLAlchemyError, ForeignTable) as error:
            shown = self._url.render_as_string(hide_password=True)
            raise StartupError(f"The request log {shown} cannot be written ({reason(error)}); {ADVICE}") from None

    def write(self, rows: Sequence[Values]) -> None:
        """Writes all rows or none; those whose key is there already are replaced."""
        with self._transaction() as connection:
            write_rows(connection, rows)

    def delete_before(self, oldest: datetime) -> int:
        """Deletes a piece of the rows that are older; returns how many."""
        old = select(requests.c.id).where(requests.c.time < oldest).order_by(requests.c.id)
        with self._transaction() as connection:
            return _delete(connection, old, PIECE_ROWS)

    def delete_beyond(self, most: int) -> int:
        """Deletes a piece of the oldest rows if there are more than `most`; returns how many."""
        with self._transaction() as connection:
            first, last = connection.execute(select(func.min(requests.c.id), func.max(requests.c.id))).one()
            if first is None or last - first < most:  # known without counting
                return 0
            surplus = connection.execute(select(func.count()).select_from(requests)).scalar_one() - most
            # At once, as another process that counted the same rows would delete as many again.
            return _delete(connection, select(requests.c.id).order_by(requests.c.id), min(surplus, PIECE_ROWS))

    def close(self) -> None:
        if self._engine:
            self._engine.dispose()
            self._engine = None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction; whatever goes wrong is raised, and the database is opened anew for the next one."""
        try:
            with self._usable().begin() as connection:
                yield connection
            if self._file:
                self._file.check()
        except Exception:
            self.close()
            raise

    def _usable(self) -> Engine:
        if self._engine and self._file and self._file.is_replaced():
            self.close()
        if not self._engine:
            self._open()
        assert self._engine
        return self._engine

    def _open_when_free(self) -> None:
        """Opens the database; waits for other processes that start with it at the same time."""
        give_up = time.monotonic() + OPENING_SECONDS
        while not self._engine:
            try:
                self._open()
            except OperationalError as error:
                if "database is locked" not in str(error) or time.monotonic() > give_up:
                    raise
                time.sleep(0.05)

    def _open(self) -> None:
        if self._file:
            self._file.make_folder()
        engine = create_engine(self._url, poolclass=QueuePool, pool_size=1)
        if self._file:
            set_up(engine, self._durable)
        try:
            with engine.begin() as connection:
                migrate(connection)
                _try_to_write(connection)
            if self._file:
                self._file.remember()
        except BaseException:
            engine.dispose()
            raise
        self._engine = engine


def _delete(connection: Connection, ids: Any, most: int) -> int:
    return connection.execute(delete(requests).where(requests.c.id.in_(ids.limit(max(0, most))))).rowcount


def _try_to_write(connection: Connection) -> None:
    with connection.begin_nested() as trial:
        write_rows(connection, [_TRIAL])
        trial.rollback()


_TRIAL: Values = (datetime(2000, 1, 1), "", "", 0, 0.0, 0.0, 0, 0, "", "", "", "trial")
