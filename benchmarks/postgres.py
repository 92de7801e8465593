"""A real PostgreSQL of its own: Debian's, in a temporary folder, on a free port."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

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
        self.run("pg_ctl", "start", "--wait", "--log", str(self.folder / "output"), "--options", options)

    def stop(self) -> None:
        """As a failure would: connections are cut, transactions under way are lost."""
        self.run("pg_ctl", "stop", "--wait", "--mode", "immediate")

    def create(self, database: str, encoding: str = "UTF8") -> str:
        """The address of a new and empty database."""
        options = f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" {options}'.encode())
        return self.url(database)

    def run(self, program: str, *arguments: str) -> None:
        _run_as_nobody([self.programs / program, "--pgdata", self.folder / "data", *arguments])


def find_programs() -> Path | None:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve()] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Runs a server until the end of the block; raises RuntimeError if PostgreSQL is not installed."""
    programs = find_programs()
    if not programs:
        raise RuntimeError(MISSING)
    with tempfile.TemporaryDirectory(prefix="postgres-") as name, socket.create_server(("127.0.0.1", 0)) as free:
        server = Postgres(programs, Path(name), free.getsockname()[1])
        free.close()
        if os.geteuid() == 0:
            shutil.chown(name, "nobody")
        server.run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def rows_of(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def _run_as_nobody(command: Sequence[str | Path]) -> None:
    """PostgreSQL refuses to run as root."""
    user = "nobody" if os.geteuid() == 0 else None
    subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, cwd="/", timeout=120)
