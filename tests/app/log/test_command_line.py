"""`python -m app.log` on a real database of each kind."""

import contextlib
import csv
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from app.log import reading
from app.log.__main__ import main
from app.log.schema import Entry
from tests.app.log.support import entry, log_of
from tests.app.support import ROOT, eventually

NOW = datetime.now(UTC).replace(tzinfo=None)
ENTRIES: list[Entry] = [
    entry("first", time=NOW - timedelta(days=3))._replace(route="/next-word", latency_ms=2.0),
    entry("second", time=NOW - timedelta(hours=3))._replace(status=422, latency_ms=30.0),
    entry("third", time=NOW - timedelta(minutes=3), body='{"text": "a, ☕\nb"}'.encode())._replace(latency_ms=400.0),
]


def command(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("REVIEW_LM_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.log", *arguments],
        cwd=ROOT,
        env=inherited | {"PYTHONUTF8": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    process = command(*arguments, **variables)
    output, complaint = process.communicate(timeout=120)
    return process.returncode, output, complaint


def shown(url: str, *arguments: str) -> list[str]:
    """The request ids of the rows that are shown."""
    status, output, complaint = run(*arguments, DATABASE_URL=url)
    assert (status, complaint) == (0, "")
    return [line.rpartition("  ")[2] for line in output.splitlines()]


@pytest.fixture
def filled(url: str) -> str:
    write(url, ENTRIES)
    return url


def write(url: str, entries: list[Entry]) -> None:
    log = log_of(url)
    log.start()
    for each in entries:
        log.record(each)
    log.close()


def test_the_newest_come_first(filled: str) -> None:
    assert shown(filled) == ["third", "second", "first"]
    assert shown(filled, "--limit", "2") == ["third", "second"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--route", "/next-word"], ["first"]),
        (["--status", "422"], ["second"]),
        (["--request-id", "third"], ["third"]),
        (["--slower-than", "30"], ["third"]),
        (["--since", "4h"], ["third", "second"]),
        (["--since", "1d", "--until", "100m"], ["second"]),
        (["--since", (NOW - timedelta(hours=3)).isoformat()], ["third", "second"]),
        (["--until", (NOW - timedelta(hours=3)).isoformat() + "Z"], ["first"]),
        (["--route", "/nowhere"], []),
    ],
)
def test_filters(tmp_path: Path, arguments: list[str], expected: list[str]) -> None:
    url = f"sqlite:///{tmp_path}/log.sqlite3"
    write(url, ENTRIES)
    assert shown(url, *arguments) == expected


def test_exports_hold_everything(filled: str, tmp_path: Path) -> None:
    expected = {"request_id": "third", "status": 200, "latency_ms": 400.0, "request_body": '{"text": "a, ☕\nb"}'}
    for kind in ("jsonl", "csv"):
        file = tmp_path / f"rows.{kind}"
        assert run("--format", kind, "--output", str(file), "--limit", "0", "--database", filled) == (0, "", "")
        text = file.read_text(encoding="utf-8")
        if kind == "jsonl":
            rows = [json.loads(line) for line in text.splitlines()]
        else:
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [row["request_id"] for row in rows] == ["third", "second", "first"]
        assert {name: str(rows[0][name]) for name in expected} == {name: str(value) for name, value in expected.items()}
        assert datetime.fromisoformat(rows[0]["time"]) == ENTRIES[2].time
    assert sorted(path.name for path in tmp_path.glob("rows.*")) == ["rows.csv", "rows.jsonl"]


def test_a_log_that_is_made_anew_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "log.sqlite3"
    url = f"sqlite:///{file}"

    def make_an_empty_one() -> None:
        file.touch(exist_ok=False)  # nor did who only reads make one

    steps: list[Callable[[], object]] = [file.unlink, make_an_empty_one, lambda: write(url, [entry("new")])]
    meanwhile = iter(steps)
    write(url, ENTRIES)
    monkeypatch.setattr(reading, "time", SimpleNamespace(sleep=lambda _: next(meanwhile)()))
    with reading.reading(url) as engine:
        row = next(reading.follow(engine, reading.Filter(), lambda: False))
    assert row["request_id"] == "new"


def test_rows_are_followed_also_into_a_new_file(filled: str, tmp_path: Path) -> None:
    with command("--follow", "--format", "jsonl", "--status", "200", DATABASE_URL=filled) as process:
        assert process.stdout
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_put_all, args=[process.stdout, lines]).start()

        def line_after_a_new_row() -> str | None:
            write(filled, [entry("new")])
            with contextlib.suppress(queue.Empty):
                return lines.get(timeout=0.1)
            return None

        try:
            # What was there before is not shown, so rows are written until one is: from then on it follows.
            eventually(line_after_a_new_row)
            write(filled, [entry("ignored")._replace(status=404), entry("last")])
            shown = ""
            while '"last"' not in shown:
                shown = lines.get(timeout=60)
                assert "first" not in shown
                assert "ignored" not in shown
            if filled.startswith("sqlite"):
                (tmp_path / "log.sqlite3").unlink()
                write(filled, [entry("in another file")])
                assert "in another file" in lines.get(timeout=60)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_rows_that_were_followed_into_a_file_are_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.sqlite3"
    write(url, ENTRIES)
    unfinished = tmp_path / "rows.jsonl.unfinished"
    with command(
        "--follow", "--format", "jsonl", "--output", str(tmp_path / "rows.jsonl"), DATABASE_URL=url
    ) as process:

        def has_a_row() -> bool:
            write(url, [entry("new")])
            return unfinished.exists() and unfinished.stat().st_size > 0

        try:
            eventually(has_a_row)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    kept = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["request_id"] for line in kept} == {"new"}
    assert not unfinished.exists()


def test_who_stops_following_breaks_no_library(filled: str) -> None:
    """Each swallows a KeyboardInterrupt in some places and fails by it in others."""
    passed: list[bool] = []

    def interrupt(*_: object) -> None:
        if not passed:
            signal.raise_signal(signal.SIGINT)
            passed.append(True)

    event.listen(Pool, "checkin", interrupt)
    try:
        status = main(["--follow", "--database", filled])
    finally:
        event.remove(Pool, "checkin", interrupt)
    assert status == 0
    assert passed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _put_all(lines: Iterable[str], into: "queue.SimpleQueue[str]") -> None:
    for line in lines:
        into.put(line)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--database", "sqlite:///nowhere/log.sqlite3"], "There is no request log at"),
        (["--database", "sqlite:///README.md"], "cannot be read"),
        (["--database", "postgresql://nobody:secret@127.0.0.1:1/log"], "cannot be read"),
        (["--database", "nonsense"], "DATABASE_URL"),
        (["--since", "yesterday"], "'yesterday' is no time"),
        (["--limit", "-1"], "'-1' is no number of rows"),
        (["--output", "/nowhere/rows.csv"], "/nowhere/rows.csv"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    write(f"sqlite:///{tmp_path}/log.sqlite3", ENTRIES)
    status, output, complaint = run(*arguments, DATABASE_URL=f"sqlite:///{tmp_path}/log.sqlite3")
    assert status in {1, 2}
    assert output == ""
    assert said in complaint.splitlines()[-1]
    assert "Traceback" not in complaint
    assert "secret" not in complaint


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.sqlite3"
    write(url, [entry(f"{place}") for place in range(3000)])
    process = command("--limit", "0", DATABASE_URL=url)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_reader_does_not_wait_for_what_migrates() -> None:
    look = "import app.log.__main__, sys; print('sqlalchemy' in sys.modules, 'alembic' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "True False\n"
