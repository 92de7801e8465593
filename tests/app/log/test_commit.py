"""REVIEW_LM_LOG_DURABILITY=commit: no answer without its row, and no row that says what was not answered."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.log.reading import Filter, newest, reading
from app.log.schema import Entry
from tests.app.log.support import connected, entry, ids, log_of
from tests.app.support import Server, running_server

SCORE = {"texts": ["I loved it."]}
STREAM = {"prompt": "The", "max_tokens": 3, "seed": 1, "stream": True}


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory, random_artifact: Path) -> Iterator[Server]:
    variables = {
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "REVIEW_LM_LOG_DURABILITY": "commit",
        "REVIEW_LM_DEADLINE_SECONDS": "2",
    }
    with running_server(tmp_path_factory.mktemp("durable"), **variables) as server:
        yield server


def only_row(server: Server, request_id: str) -> tuple[int, str]:
    (row,) = server.log_rows("request_id = ?", request_id)
    return row["status"], row["response_body"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/score", SCORE),
        ("POST", "/score", {"texts": []}),
        ("POST", "/score", {"texts": ["a"] * 3000}),
        ("POST", "/generate", STREAM),
        ("GET", "/nowhere", None),
    ],
)
def test_the_row_is_there_when_the_answer_is(durable: Server, method: str, path: str, body: object) -> None:
    answer = durable.client.request(method, path, json=body)
    assert only_row(durable, answer.headers["X-Request-ID"]) == (answer.status_code, answer.text)


def test_the_row_of_a_stream_is_there_before_its_last_event(durable: Server) -> None:
    with durable.client.stream("POST", "/generate", json=STREAM) as answer:
        for line in answer.iter_lines():
            if line == "data: [DONE]":
                break
        else:
            pytest.fail("the stream has no end")
        status, body = only_row(durable, answer.headers["X-Request-ID"])
    assert (status, body.endswith("data: [DONE]\n\n")) == (200, True)


def test_many_requests_share_commits(durable: Server) -> None:
    def ask(place: int) -> str:
        with httpx.Client(base_url=durable.client.base_url, timeout=60) as client:
            return client.post("/score", json=SCORE, headers={"X-Request-ID": f"many-{place}"}).headers["X-Request-ID"]

    with ThreadPoolExecutor(16) as threads:
        asked = list(threads.map(ask, range(64)))
    assert sorted(row["request_id"] for row in durable.log_rows("request_id LIKE 'many-%'")) == sorted(asked)


def test_without_its_row_a_request_is_answered_with_503(durable: Server) -> None:
    with connected(durable.database) as other, httpx.Client(base_url=durable.client.base_url, timeout=60) as client:
        other.execute("BEGIN EXCLUSIVE")
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(client.post, "/score", json=SCORE)
            assert durable.client.get("/livez").status_code == 200  # nobody else waits
            streamed = durable.client.post("/generate", json=STREAM)
            refused = asked.result()
            wrong = durable.client.post("/score", json={"texts": ["a"] * 3000})
        assert wrong.json()["type"] == "/problems/unlogged"
        assert (refused.status_code, refused.headers["Content-Type"]) == (503, "application/problem+json")
        assert refused.json()["type"] == "/problems/unlogged"
        assert "scores" not in refused.text
        assert durable.health()["status"] == "degraded"
        other.execute("ROLLBACK")
    *_, error, done, _ = streamed.text.split("\n\n")
    assert json.loads(error.removeprefix("data: "))["error"]["type"] == "/problems/unlogged"
    assert done == "data: [DONE]"
    assert streamed.text.count("[DONE]") == 1

    after = durable.client.post("/score", json=SCORE)
    assert after.status_code == 200
    # Written in this order, so all of them are there: as they were answered, not as they would have been.
    assert only_row(durable, after.headers["X-Request-ID"])[0] == 200
    assert durable.logged(refused.headers["X-Request-ID"])["status"] == 503
    assert only_row(durable, refused.headers["X-Request-ID"]) == (503, refused.text)
    assert only_row(durable, streamed.headers["X-Request-ID"]) == (200, streamed.text)
    assert durable.health()["status"] == "ok"


def test_under_v1_the_503_has_openais_shape(durable: Server) -> None:
    asked = {"model": durable.health()["model"], "prompt": "The", "max_tokens": 3}
    with connected(durable.database) as other, ThreadPoolExecutor(1) as thread:
        other.execute("BEGIN EXCLUSIVE")
        streaming = thread.submit(
            httpx.post, f"{durable.client.base_url}/v1/completions", json=asked | {"stream": True}
        )
        refused = durable.client.post("/v1/completions", json=asked)
        streamed = streaming.result()
        other.execute("ROLLBACK")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unlogged")
    *_, error, done, _ = streamed.text.split("\n\n")
    assert json.loads(error.removeprefix("data: ")) == refused.json()
    assert done == "data: [DONE]"


def test_a_log_without_room_refuses_requests_and_counts_them(tmp_path: Path, random_artifact: Path) -> None:
    variables = {
        "REVIEW_LM_MODEL_DIRECTORY": str(random_artifact),
        "REVIEW_LM_LOG_DURABILITY": "commit",
        "REVIEW_LM_LOG_QUEUE_BYTES": "10000",
    }
    with running_server(tmp_path, **variables) as server:
        refused = server.client.post("/score", json={"texts": ["word " * 2000]})
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unlogged")
        assert server.client.post("/score", json=SCORE).status_code == 200
        assert server.health()["log"] | {"written": 1, "waiting": 0, "dropped": 1} == server.health()["log"]
        assert "no room" in server.output


# ---- the log alone ----


def test_a_row_is_replaced_before_and_after_it_is_written(url: str) -> None:
    async def amend() -> None:
        log = log_of(url, durability="commit")
        before, kept = log.add(entry("a")), log.add(entry("b"))
        assert before
        assert kept
        log.amend(before, entry("a")._replace(status=503))
        log.start()
        assert await kept.is_committed(60)
        log.amend(kept, entry("b")._replace(status=500))
        after = log.add(entry("c"))
        assert after
        assert await after.is_committed(60)
        assert after.committed
        assert after.committed.done()
        await asyncio.to_thread(log.close)
        assert (log.waiting, log.waiting_bytes, log.dropped) == (0, 0, 0)

    asyncio.run(amend())
    assert sorted(statuses(url)) == [("a", 503), ("b", 500), ("c", 200)]


def statuses(url: str) -> list[tuple[str, int]]:
    with reading(url) as engine:
        return [(row["request_id"], row["status"]) for row in newest(engine, Filter(), 0)]


def test_a_row_that_is_amended_while_it_is_written_ends_as_amended(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite3"

    async def amend() -> None:
        log = log_of(f"sqlite:///{path}", durability="commit")
        with connected(path) as other:
            other.execute("BEGIN EXCLUSIVE")
            log.start()
            row = log.add(entry("a"))
            assert row
            assert not await row.is_committed(0.2)
            log.amend(row, entry("a")._replace(status=503))
            other.execute("ROLLBACK")
        assert await row.is_committed(60)
        await asyncio.to_thread(log.close)

    asyncio.run(amend())
    assert statuses(f"sqlite:///{path}") == [("a", 503)]


def test_entries_beyond_the_bytes_are_counted_and_no_others(tmp_path: Path) -> None:
    log = log_of(f"sqlite:///{tmp_path}/log.sqlite3", queue_bytes=20_000)
    large: Entry = entry("large", body=b"x" * 15_000)
    log.record(large)
    log.record(large._replace(request_id="too large"))
    log.record(entry("small"))
    assert (log.waiting, log.dropped) == (2, 1)
    assert 15_000 < log.waiting_bytes <= 20_000
    log.start()
    log.close()
    assert ids(tmp_path / "log.sqlite3") == ["large", "small"]
    assert log.waiting_bytes == 0
