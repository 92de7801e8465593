"""What happens to files, disks and clocks: serving goes on, nothing that was answered is missing, the log recovers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.app.log.support import connected, entry, ids, log_of
from tests.app.support import Server, eventually, running_server

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_OFFSET"), "r") : NULL;
    long offset = 0;
    if (file) { if (fscanf(file, "%ld", &offset) == 1) now->tv_sec += offset; fclose(file); }
    return result;
}
"""
"""A clock that is set by writing seconds to a file."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def ask(server: Server, request_id: str, texts: int = 1) -> int:
    body = {"texts": ["A text of which many together need more than a page." * 4] * texts}
    return server.client.post("/score", json=body, headers={"X-Request-ID": request_id}).status_code


def settled(server: Server) -> dict[str, object]:
    """The health page once no row waits."""
    return eventually(lambda: page if (page := server.health())["log"]["waiting"] == 0 else None)


@pytest.mark.parametrize("durability", ["background", "commit"])
def test_a_deleted_file_or_folder_is_made_anew(tmp_path: Path, random_artifact: Path, durability: str) -> None:
    variables = {
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "REVIEW_LM_LOG_DURABILITY": durability,
        "REVIEW_LM_DEADLINE_SECONDS": "1",
        "DATABASE_URL": f"sqlite:///{tmp_path}/logs/requests.sqlite3",
    }
    with running_server(tmp_path, **variables) as server:
        folder = tmp_path / "logs"
        server.database = folder / "requests.sqlite3"
        assert ask(server, "before") == 200
        # A reader sees the row before the writer has looked whether its file is still there.
        eventually(lambda: server.health()["log"]["written"] == 1)

        server.database.unlink()
        assert ask(server, "after-the-file") == 200
        eventually(lambda: server.health()["log"]["written"] == 2)
        assert ids(server.database) == ["after-the-file"]

        (folder / "requests.sqlite3-wal").unlink()
        assert ask(server, "after-the-wal") == 200
        eventually(lambda: server.health()["log"]["written"] == 3)
        assert ids(server.database) == ["after-the-file", "after-the-wal"]

        shutil.rmtree(folder)
        folder.write_text("in the way")
        assert ask(server, "in-the-way") == (200 if durability == "background" else 503)
        degraded = eventually(lambda: page if (page := server.health())["status"] == "degraded" else None)
        assert str(folder) in degraded["log"]["error"]
        folder.unlink()
        assert settled(server)["status"] == "ok"
        assert ask(server, "at-last") == 200
        eventually(lambda: server.health()["log"]["written"] == 5)
        assert ids(server.database) == ["in-the-way", "at-last"]
        assert "Traceback" not in server.output


@pytest.mark.parametrize("durability", ["background", "commit"])
def test_a_full_disk_is_survived(small_disk: Path, tmp_path: Path, random_artifact: Path, durability: str) -> None:
    variables = {
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "REVIEW_LM_LOG_DURABILITY": durability,
        "REVIEW_LM_DEADLINE_SECONDS": "1",
        "DATABASE_URL": f"sqlite:///{small_disk}/requests.sqlite3",
    }
    with running_server(tmp_path, **variables) as server:
        server.database = small_disk / "requests.sqlite3"
        assert ask(server, "before") == 200
        server.logged("before")
        with pytest.raises(OSError, match="No space"):
            (small_disk / "filler").write_bytes(bytes(3_000_000))
        # Too many texts are refused at once, but logged with their bodies, for which there is no room.
        during = {f"during-{place}": ask(server, f"during-{place}", texts=65) for place in range(2)}
        assert set(during.values()) == {422 if durability == "background" else 503}
        degraded = eventually(lambda: page if (page := server.health())["status"] == "degraded" else None)
        assert degraded["log"]["waiting"] == 2
        assert degraded["log"]["dropped"] == 0
        (small_disk / "filler").unlink()
        assert settled(server)["status"] == "ok"
        assert ask(server, "after") == 200
        server.logged("after")
        logged = {row["request_id"]: row["status"] for row in server.log_rows()}
        assert logged == {"before": 200, **during, "after": 200}
        assert len(server.log_rows()) == 4
        with connected(server.database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert server.output.count("cannot be written") == 1  # not once an attempt


def test_a_clock_that_is_set_back_disturbs_nothing(tmp_path: Path, random_artifact: Path) -> None:
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("another clock needs a C compiler")
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    (tmp_path / "clock.c").write_text(CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "clock.c", "-ldl"], check=True)
    offset.write_text("0")
    variables = {
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "REVIEW_LM_LOG_DURABILITY": "commit",
        "LD_PRELOAD": str(library),
        "CLOCK_OFFSET": str(offset),
    }
    with running_server(tmp_path, **variables) as server:
        assert ask(server, "before") == 200
        (tmp_path / "new offset").write_text("-86400")
        os.replace(tmp_path / "new offset", offset)
        assert ask(server, "yesterday") == ask(server, "too") == 200
        rows = server.log_rows()
    assert [row["request_id"] for row in rows] == ["before", "yesterday", "too"]
    before, yesterday = (datetime.fromisoformat(row["time"]) for row in rows[:2])
    assert before - yesterday > timedelta(hours=23)
    assert all(0 <= row["queue_ms"] <= row["latency_ms"] < 60_000 for row in rows)


def test_a_row_that_is_written_again_stays_one(url: str) -> None:
    log = log_of(url)
    rows = [log._values(row, row.entry) for name in "ab" if (row := log._rows.add(entry(name)))]
    assert len(rows) == 2
    log._database.write(rows)
    log._database.write(rows)
    log._database.write([(*row[:-1], f"{row[-1]}0") for row in rows])
    assert log._database.delete_beyond(1) == 3
    log._database.close()
