"""Brings a database to the latest schema from whatever it holds: nothing, the first version's table, any revision."""

import logging
import threading

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

BEFORE_MIGRATIONS = "0001"
LOCK = 0x7265766C6D  # "revlm": any number that other users of the database are unlikely to lock
COLUMNS_BEFORE_MIGRATIONS = frozenset(
    {"id", "time", "request_id", "route", "status", "latency_ms", "queue_ms", "tokens_in", "tokens_out", "model"}
    | {"request_body", "response_body"}
)

_one_at_a_time = threading.Lock()  # Alembic keeps what it works on in its module
logging.getLogger("alembic").setLevel(logging.WARNING)


class ForeignTable(Exception):
    """The database has a table `requests` that is not this service's, or one of a later version."""


def migrate(connection: Connection) -> None:
    """Takes all steps that are missing, inside the connection's transaction.

    Of several processes one does it while the others wait: on SQLite for the lock that BEGIN IMMEDIATE takes, on
    PostgreSQL for one that is taken here. Raises ForeignTable rather than change a table that it does not know.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    with _one_at_a_time:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "app.log:migrations")
        config.set_main_option("path_separator", "os")
        if _was_made_before_migrations(connection):
            command.stamp(config, BEFORE_MIGRATIONS)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ForeignTable(f"it was written by a later version of this service, or by another: {error}") from None


def _was_made_before_migrations(connection: Connection) -> bool:
    tables = inspect(connection)
    if tables.has_table("alembic_version") or not tables.has_table("requests"):
        return False
    missing = COLUMNS_BEFORE_MIGRATIONS - {column["name"] for column in tables.get_columns("requests")}
    if missing:
        raise ForeignTable(f"its table requests is not this service's: it has no column {min(missing)}")
    return True
