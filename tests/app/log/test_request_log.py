import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.errors import StartupError
from app.log.database import Database
from app.log.writing import PAGES
from tests.app.log.support import COLUMNS, connected, entry, ids, log_of
from tests.app.support import Server, eventually, running_server


def test_an_entry_comes_back_as_it_was_recorded(tmp_path: Path) -> None:
    log = log_of(f"sqlite:///{tmp_path}/new/folder/log.sqlite3")
    log.start()
    log.record(entry("a"))
    log.record(entry("b", body=b"caf\xc3\xa9 \xff \x00"))
    eventually(lambda: log.written == 2)
    log.close()
    with connected(tmp_path / "new/folder/log.sqlite3") as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM requests ORDER BY id").fetchall()
    assert [row[1:-2] for row in rows] == [entry(name)[1:-2] for name in "ab"]
    assert {datetime.fromisoformat(row[0]) for row in rows} == {entry("a").time}
    assert [row[-2:] for row in rows] == [("{}", "…"), ("café \ufffd \ufffd", "…")]


def test_entries_of_one_batch_come_back_in_their_order_each_with_its_own_values(tmp_path: Path) -> None:
    count = PAGES[0] + sum(PAGES)
    given = [
        entry(f"r{place}", b"%d" % place, datetime(2026, 1, 2, 3, 4, 5, place))._replace(status=200 + place)
        for place in range(count)
    ]
    log = log_of(f"sqlite:///{tmp_path}/log.sqlite3")
    for each in given:
        log.record(each)
    log.start()
    log.close()
    with connected(tmp_path / "log.sqlite3") as connection:
        rows = connection.execute(f"SELECT {COLUMNS} FROM requests ORDER BY id").fetchall()
    assert [(datetime.fromisoformat(time), *values[:-2]) for time, *values in rows] == [each[:-2] for each in given]
    assert [row[-2] for row in rows] == [str(place) for place in range(count)]


def test_rows_that_are_written_again_take_the_place_of_the_first(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/log.sqlite3", durable=False)
    for name in ("first", "second"):
        database.write([(*entry(name)[:-2], "", "", f"k{place}") for place in range(sum(PAGES))])
    database.close()
    assert ids(tmp_path / "log.sqlite3") == ["second"] * sum(PAGES)


def test_a_log_is_continued_where_it_was_left(tmp_path: Path) -> None:
    for request_id in ("a", "b"):
        log = log_of(f"sqlite:///{tmp_path}/log.sqlite3")
        log.start()
        log.record(entry(request_id))
        log.close()
    assert ids(tmp_path / "log.sqlite3") == ["a", "b"]


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(tmp_path: Path) -> None:
    log = log_of(f"sqlite:///{tmp_path}/log.sqlite3", rows=3)
    for place in range(5):
        log.record(entry(str(place)))
    assert (log.waiting, log.dropped, log.written) == (3, 2, 0)
    log.start()
    log.close()
    assert (log.waiting, log.dropped, log.written) == (0, 2, 3)
    assert ids(tmp_path / "log.sqlite3") == ["0", "1", "2"]


def test_no_entry_of_many_threads_is_lost(tmp_path: Path) -> None:
    log = log_of(f"sqlite:///{tmp_path}/log.sqlite3", rows=100_000)
    log.start()
    start = threading.Barrier(8)

    def record(thread: int) -> None:
        start.wait()
        for place in range(400):
            log.record(entry(f"{thread}/{place}"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(record, range(8)))
    log.close()
    assert (log.written, log.dropped) == (3200, 0)
    written = ids(tmp_path / "log.sqlite3")
    assert sorted(written) == sorted(f"{thread}/{place}" for thread in range(8) for place in range(400))
    assert [each for each in written if each.startswith("3/")] == [f"3/{place}" for place in range(400)]


@pytest.mark.parametrize(
    "url", ["nonsense", "nosuchdatabase://host/log", "sqlite://", "sqlite:///{folder}", "sqlite:///{file}/log"]
)
def test_a_place_that_cannot_be_written_is_refused_with_advice(tmp_path: Path, url: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StartupError, match="DATABASE_URL") as refusal:
        log_of(url.format(folder=tmp_path, file=tmp_path / "file"))
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a diary of many words" * 100)
    with pytest.raises(StartupError, match="DATABASE_URL"):
        log_of(f"sqlite:///{tmp_path}/log")
    assert (tmp_path / "log").read_text() == "a diary of many words" * 100


def test_a_password_is_not_told() -> None:
    with pytest.raises(StartupError) as refusal:
        log_of("mssql+nosuchdriver://user:secret@host/log")
    assert "secret" not in str(refusal.value)


def test_a_log_that_may_not_be_written_is_left_empty_by_the_trial(tmp_path: Path) -> None:
    log_of(f"sqlite:///{tmp_path}/log.sqlite3").close()
    assert ids(tmp_path / "log.sqlite3") == []


# ---- behind the server ----


@pytest.mark.parametrize(
    ("path", "body", "tokens_out"),
    [
        ("/next-word", {"text": "The food was"}, 0),
        ("/generate", {"prompt": "The food", "max_tokens": 4, "seed": 1}, 4),
        ("/score", {"texts": ["I loved it."]}, 0),
    ],
)
def test_a_request_leaves_a_row(server: Server, path: str, body: dict[str, object], tokens_out: int) -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    response = server.client.post(path, json=body)
    row = server.logged(response.headers["X-Request-ID"])
    assert (row["route"], row["status"]) == (path, 200)
    assert (row["model"], json.loads(row["request_body"])) == (server.health()["model"], body)
    assert row["response_body"] == response.text
    assert 0 <= row["queue_ms"] <= row["latency_ms"]
    assert before - timedelta(seconds=1) <= datetime.fromisoformat(row["time"])
    assert datetime.fromisoformat(row["time"]) <= datetime.now(UTC).replace(tzinfo=None)
    assert row["tokens_in"] in {3, 4, 5, 6}
    assert row["tokens_out"] <= tokens_out
    assert (row["tokens_out"] > 0) == (tokens_out > 0)


def test_a_stream_leaves_a_row_with_all_of_it(server: Server) -> None:
    body = {"prompt": "The", "max_tokens": 5, "seed": 3, "stream": True}
    response = server.client.post("/generate", json=body)
    row = server.logged(response.headers["X-Request-ID"])
    assert row["response_body"] == response.text
    assert row["tokens_out"] > 0
    assert row["tokens_in"] == 2


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/no-such-page", b"", 404),
        ("GET", "/score", b"", 405),
        ("POST", "/score", b'{"texts": []}', 422),
        ("POST", "/score", b"no \xff JSON \x00", 422),
        ("GET", "/model", b"", 200),
    ],
)
def test_what_was_refused_leaves_a_row_too(server: Server, method: str, path: str, content: bytes, status: int) -> None:
    response = server.client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    row = server.logged(response.headers["X-Request-ID"])
    assert (row["route"], row["status"], row["response_body"]) == (path, status, response.text)
    assert row["request_body"] == content.decode("utf-8", "replace").replace("\x00", "\ufffd")


def test_a_path_with_a_nul_is_logged_without_it(server: Server) -> None:
    response = server.client.get("/no%00page" + "/long" * 100)
    assert response.status_code == 404
    route = server.logged(response.headers["X-Request-ID"])["route"]
    assert route == ("/no\ufffdpage" + "/long" * 100)[:200]


def test_probes_and_pages_leave_no_row(server: Server) -> None:
    probes = [server.client.get(path) for path in ("/livez", "/readyz", "/health", "/docs", "/openapi.json")]
    assert {probe.status_code for probe in probes} == {200}
    server.logged(server.client.get("/model").headers["X-Request-ID"])  # written after whatever came before
    for probe in probes:
        assert server.log_rows("request_id = ?", probe.headers["X-Request-ID"]) == []


def test_bodies_are_not_kept_where_they_should_not_be(limited_server: Server) -> None:
    response = limited_server.client.post("/score", json={"texts": ["secret"]})
    row = limited_server.logged(response.headers["X-Request-ID"])
    assert (row["status"], row["request_body"], row["response_body"]) == (200, None, None)
    for path in limited_server.database.parent.glob("requests.sqlite3*"):
        assert b"secret" not in path.read_bytes()


def test_a_locked_database_stops_nothing_and_loses_nothing(tmp_path: Path, random_artifact: Path) -> None:
    variables = {"REVIEW_LM_MODEL_DIRECTORY": str(random_artifact), "REVIEW_LM_LOG_QUEUE_ROWS": "1010"}
    with running_server(tmp_path, **variables) as server:
        before = server.health()
        assert (before["status"], before["log"]["error"]) == ("ok", None)
        with connected(server.database) as other:
            other.execute("BEGIN EXCLUSIVE")
            for place in range(30):
                response = server.client.post(
                    "/score", json={"texts": ["x"]}, headers={"X-Request-ID": f"locked-{place}"}
                )
                assert response.status_code == 200
            degraded = eventually(lambda: page if (page := server.health())["status"] == "degraded" else None)
            assert "locked" in degraded["log"]["error"]
            assert degraded["ready"] is True
            assert degraded["log"]["waiting"] == 30
            assert server.client.get("/readyz").status_code == 200
            other.execute("ROLLBACK")
        recovered = eventually(lambda: page if (page := server.health())["log"]["waiting"] == 0 else None)
        assert recovered["status"] == "ok"
        counts = {"written": 30, "waiting": 0, "waiting_bytes": 0, "dropped": 0, "deleted": 0, "error": None}
        assert recovered["log"] == counts
        expected = [f"locked-{place}" for place in range(30)]
        assert [row["request_id"] for row in server.log_rows("request_id LIKE 'locked-%'")] == expected


def test_a_stop_signal_leaves_every_request_in_the_log(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:

        def ask(thread: int) -> list[str]:
            with httpx.Client(base_url=server.client.base_url, timeout=120) as client:
                answers = [client.post("/score", json={"texts": [f"{thread} {place}"]}) for place in range(25)]
            assert {answer.status_code for answer in answers} == {200}
            return [answer.headers["X-Request-ID"] for answer in answers]

        with ThreadPoolExecutor(8) as threads:
            sent = [request_id for requests in threads.map(ask, range(8)) for request_id in requests]
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert len(set(sent)) == 200
        assert {row["request_id"] for row in server.log_rows()} == set(sent)
        assert "Traceback" not in server.output


def test_a_stop_signal_lets_requests_under_way_finish(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, ThreadPoolExecutor(1) as thread:
        writing = thread.submit(server.post, "/generate", n=8, max_tokens=200, seed=1)
        with httpx.Client(base_url=server.client.base_url, timeout=120) as client:
            eventually(lambda: client.get("/health").json()["rows"] == 8 or writing.done())
        server.process.terminate()
        assert len(writing.result()["reviews"]) == 8
        assert server.process.wait(60) == 0
        assert [row["status"] for row in server.log_rows("route = '/generate'")] == [200]
