"""The schema is what the migrations make of any database that there can be, however many processes start at once."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
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
    insert,
    text,
)
from sqlalchemy.pool import NullPool

from app.errors import StartupError
from app.log.address import parsed
from app.log.schema import metadata
from tests.app.log.support import connected, entry, log_of
from tests.app.support import ROOT

SHIPPED = MetaData()
"""What version 0.1.0 made with `create_all`."""
shipped_requests = Table(
    "requests",
    SHIPPED,
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
OPENS_THE_LOG = (
    "import sys; from app.log.request_log import RequestLog; from app.settings import Settings;"
    "sys.stdin.read(); RequestLog(Settings(database_url=sys.argv[1])).close()"
)


def engine_of(url: str) -> Engine:
    return create_engine(parsed(url), poolclass=NullPool)


def request_ids(url: str) -> list[str]:
    with engine_of(url).connect() as connection:
        return list(connection.execute(text("SELECT request_id FROM requests ORDER BY id")).scalars())


def make_shipped(url: str, count: int) -> None:
    rows: list[dict[str, Any]] = [
        entry(f"old-{place}")._asdict() | {"request_body": None, "response_body": "…"} for place in range(count)
    ]
    with engine_of(url).begin() as connection:
        SHIPPED.create_all(connection)
        connection.execute(insert(shipped_requests), rows)


def test_the_migrations_make_what_the_service_writes_to(url: str) -> None:
    log_of(url).close()
    with engine_of(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_log_of_the_shipped_version_is_taken_over_with_all_its_rows(url: str) -> None:
    make_shipped(url, 7)
    for request_id in ("new", "newer"):
        log = log_of(url)
        log.start()
        log.record(entry(request_id))
        log.close()
    assert request_ids(url) == [*(f"old-{place}" for place in range(7)), "new", "newer"]
    with engine_of(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("shipped", [False, True])
def test_processes_that_start_at_once_migrate_once(url: str, shipped: bool) -> None:
    if shipped:
        make_shipped(url, 3)
    command = [sys.executable, "-c", OPENS_THE_LOG, url]
    started = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    for process in started:
        assert process.stdin
        process.stdin.close()
        process.stdin = None
    for process in started:
        _, complaint = process.communicate(timeout=120)
        assert (process.returncode, complaint) == (0, b"")
    assert len(request_ids(url)) == (3 if shipped else 0)
    with engine_of(url).connect() as connection:
        assert len(connection.execute(text("SELECT version_num FROM alembic_version")).all()) == 1


def test_a_table_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    with connected(tmp_path / "log") as connection:
        connection.execute("CREATE TABLE requests (id INTEGER PRIMARY KEY, song TEXT)")
    with pytest.raises(StartupError, match="is not this service's: it has no column"):
        log_of(f"sqlite:///{tmp_path}/log")
    with connected(tmp_path / "log") as connection:
        assert connection.execute("SELECT name, sql FROM sqlite_master").fetchall() == [
            ("requests", "CREATE TABLE requests (id INTEGER PRIMARY KEY, song TEXT)")
        ]


def test_a_log_of_a_later_version_is_refused(url: str) -> None:
    log_of(url).close()
    with engine_of(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StartupError, match="9999"):
        log_of(url)


def test_times_are_kept_to_the_microsecond(url: str) -> None:
    times = [datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(2026, 1, 1)]
    log = log_of(url)
    log.start()
    for time in times:
        log.record(entry("x", time=time))
    log.close()
    with engine_of(url).connect() as connection:
        assert [row.time for row in connection.execute(metadata.tables["requests"].select())] == times
