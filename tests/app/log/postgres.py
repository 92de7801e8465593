"""What tests of PostgreSQL share; without one installed they are skipped, or fail where it is required."""

import os

import pytest

from benchmarks.postgres import MISSING, find_programs, rows_of
from tests.app.support import eventually


def require_postgres() -> None:
    if find_programs():
        return
    if os.environ.get("POSTGRES_TESTS") == "required":
        pytest.fail(MISSING)
    pytest.skip(MISSING)


def wait_for_rows(url: str, count: int) -> None:
    eventually(lambda: rows_of(url, "SELECT count(*) FROM requests") == [(count,)])
