"""A soak of seconds: what it asks, that nothing fails, and that a failure or a row too few would be seen."""

import itertools
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from benchmarks.servers import Server
from benchmarks.soak.__main__ import soak
from benchmarks.soak.asking import Asked, Asking, Sample
from benchmarks.soak.mixture import TYPISTS, mixture
from benchmarks.soak.report import compared_with_log, figures
from tests.app.random_artifact import write_random_artifact

TEXTS = [f"Soup {number} was cold again." for number in range(TYPISTS)]


def asked(begun: float, seconds: float = 0.1, status: int = 200, whole: bool = True, request_id: str = "a") -> Asked:
    return Asked(begun, seconds, "/next-word", status, whole, request_id)


def test_the_mixture_has_all_kinds_and_is_the_same_each_time() -> None:
    requests = [*itertools.islice(mixture(TEXTS, "m"), 1000)]
    assert requests == [*itertools.islice(mixture(TEXTS, "m"), 1000)]
    paths = Counter((path, body.get("stream")) if body else (path, None) for path, body in requests)
    assert 600 < paths.pop(("/next-word", None)) < 800
    assert set(paths) == {
        *(("/generate", False), ("/generate", True), ("/v1/completions", False), ("/v1/completions", True)),
        *(("/score", None), ("/health", None)),
    }
    assert min(paths.values()) >= 10


def test_a_soak_finds_nothing_amiss(tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    write_random_artifact(artifact)
    picture = tmp_path / "pictures" / "soak.png"
    limits = {"max_waiting_rows": "100000", "max_waiting_reviews": "100000"}  # a busy machine may stop for a second
    result = soak(TEXTS, 1, picture, minute=1.0, model_directory=str(artifact), **limits)
    assert (result["errors"], [*result["statuses"]]) == (0, [200])
    assert result["requests"] > 2 * result["rate, requests/s"] * 0.9
    assert result["log"]["answers without a row"] == result["log"]["rows without an answer"] == 0
    assert 0 < result["log"]["rows"] == result["log"]["answers"]
    assert result["memory at the end, MB"] > 10
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_figures_are_of_each_minute() -> None:
    nobody = Server(0, psutil.Process())
    of_the_capacity = asked(-5, 99.0)
    minutes = [
        asked(10, 0.5),
        asked(70, 0.1),
        asked(119, 0.2),
        asked(130, 0.3),
        asked(140, 0.1, 503),
        asked(150, 0.1, 200, False),
    ]
    memory = [Sample(0, 100_000_000, 0), Sample(60, 200_000_000, 5e6), Sample(179, 203_000_000, 7e6)]
    asking = Asking(nobody, iter(()), 0.0, [of_the_capacity, *minutes], memory)
    result = figures(asking, 1, 2, 60.0)
    assert (result["requests"], result["errors"]) == (6, 2)
    assert [each["p99"] for each in result["minute, ms"].values()] == pytest.approx([500, 200, 300])
    assert result["p99 of the last minute by the first"] == pytest.approx(1.5)
    assert (result["memory grown by, MB"], result["of that, states kept, MB"]) == (3, 2)


def test_rows_and_answers_are_compared_one_by_one(tmp_path: Path) -> None:
    database = tmp_path / "log.sqlite3"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE requests (request_id, route, status)")
        rows = [("a", "/next-word", 200), ("b", "/next-word", 503), ("d", "/next-word", 200), ("d", "/next-word", 200)]
        connection.executemany("INSERT INTO requests VALUES (?, ?, ?)", rows)
    answers = [asked(0, request_id=name) for name in "abcd"]
    answers.append(answers[0]._replace(path="/health", request_id="probe"))
    assert compared_with_log(answers, database) == {
        "answers": 4, "rows": 4, "answers without a row": 2, "rows without an answer": 2,
    }  # fmt: skip
