"""One PostgreSQL for all tests of the log, and an empty database of each kind."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.app.log.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are for its user alone
    try:
        with running_postgres(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.sqlite3"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(uuid4().hex)
