"""A real PostgreSQL that the tests start themselves: Debian's, in a temporary folder, on a socket of its own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.app.support import eventually

MISSING = "PostgreSQL is not installed (Debian: apt-get install postgresql)"


@dataclass
class Postgres:
    programs: Path
    folder: Path
    port: int

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "start", "--wait", "--log", str(self.folder / "output"), "--options", options)

    def stop(self) -> None:
        """As a failure would: connections are cut, transactions under way are lost."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate")

    def create(self, database: str) -> str:
        """The address of a new and empty database."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def _run(self, program: str, *arguments: str) -> None:
        run_as_nobody([self.programs / program, "--pgdata", self.folder / "data", *arguments])


def run_as_nobody(command: Sequence[str | Path]) -> None:
    """PostgreSQL refuses to run as root."""
    user = "nobody" if os.geteuid() == 0 else None
    subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, cwd="/", timeout=120)


def find_programs() -> Path | None:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve()] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    programs = find_programs()
    if not programs and os.environ.get("POSTGRES_TESTS") == "required":
        pytest.fail(MISSING)
    if not programs:
        pytest.skip(MISSING)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = Postgres(programs, folder, free.getsockname()[1])
    server._run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def wait_for_rows(url: str, count: int) -> None:
    eventually(lambda: rows_of(url, "SELECT count(*) FROM requests") == [(count,)])


def rows_of(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()
