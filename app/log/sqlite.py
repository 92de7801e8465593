"""What SQLite needs: connections set up for one writer beside many readers, and an eye on files that vanish."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

BUSY_MS = 1000
"""How long one attempt waits for another's lock; the log tries again anyway."""

Identity = tuple[tuple[int, int] | None, ...]


class Replaced(OSError):
    """The database's file is no longer the one that was opened."""


class WatchedFile:
    """Tells whether the path still leads to the file that is open: SQLite goes on writing to one that was deleted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: Identity | None = None

    def make_folder(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)

    def remember(self) -> None:
        """To be called after a transaction, as only then the write-ahead log is there."""
        self._seen = self._identity()

    def is_replaced(self) -> bool:
        """Whether the file, or its write-ahead log, was deleted or replaced since `remember`."""
        return self._identity() != self._seen

    def check(self) -> None:
        """Raises Replaced if it was."""
        if self.is_replaced():
            raise Replaced(None, "the file was deleted or replaced while it was open", str(self._path))

    def _identity(self) -> Identity:
        return tuple(_identity(f"{self._path}{suffix}") for suffix in ("", "-wal"))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def set_up(engine: Engine, durable: bool) -> None:
    """Has every connection of `engine` take the lock for writing when a transaction begins.

    `durable`: a commit survives a power cut, else the death of the process.
    """

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        # The driver's own BEGIN comes late, and not before statements that change tables.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        # Readers never block the writer, nor the other way round.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
