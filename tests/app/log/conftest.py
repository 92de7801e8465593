"""One PostgreSQL for all tests of the log, and an empty database of each kind."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from benchmarks.postgres import Postgres, running_postgres
from tests.app.log.postgres import require_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    require_postgres()
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.sqlite3"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(uuid4().hex)
