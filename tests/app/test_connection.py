"""What a client may send before it is a request: sizes, times, and HTTP that is none, over a real socket."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.app.raw_http import Answer, answer_to, connect, head, next_answer, parsed, posted, received, sent
from tests.app.support import API_KEY, Server, eventually, running_server

KEY = f"Authorization: Bearer {API_KEY}"
SCORED = json.dumps({"texts": ["The soup was cold."]}).encode()
CLOSE = "Connection: close"


def assert_refused(answer: Answer, status: int, kind: str) -> dict[str, Any]:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.rest == b""
    problem: dict[str, Any] = answer.json()
    assert (problem["type"], problem["status"]) == (f"/problems/{kind}", status)
    return problem


def assert_answers(server: Server) -> None:
    answer = answer_to(server.port, posted("/score", SCORED, KEY, CLOSE))
    assert (answer.status, answer.json()["usage"]) == (200, {"scored_tokens": 6})


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory, random_artifact: Path) -> Iterator[Server]:
    """A service that few clients can be connected to, or send long bodies to."""
    variables = {
        "MAX_CONNECTIONS": "4",
        "MAX_HELD_BODY_BYTES": "100000",
        "KEEP_ALIVE_SECONDS": "1",
        "MODEL_DIRECTORY": str(random_artifact),
    }
    directory = tmp_path_factory.mktemp("small")
    with running_server(directory, **{f"REVIEW_LM_{name}": value for name, value in variables.items()}) as running:
        running.client.close()
        yield running


# ---- size ----


@pytest.mark.parametrize(
    "parts",
    [
        [head("GET", "/model", KEY, "X-Long: " + "a" * 2048)],
        [head("GET", "/model?" + "a" * 2048, KEY)],
        [head("GET", "/model", KEY, *(f"X-{number}: 1" for number in range(300)))],
        [b"GET /model HTTP/1.1\r\n", *(f"X-{number}: 1\r\n".encode() for number in range(300))],
        [head("GET", "/model")[:-2] + b"X-Long: ", *([b"a" * 1000] * 3)],
        [head("GET", "/model")[:-2] + b"X-Endless: " + b"a" * 10_000_000],
        [b"GET /" + b"a" * 10_000_000],
    ],
    ids=["a header", "a URL", "many headers", "many pieces", "a header in pieces", "endless header", "endless URL"],
)
def test_a_head_that_is_too_large_is_refused(limited_server: Server, parts: list[bytes]) -> None:
    problem = assert_refused(answer_to(limited_server.port, *parts), 431, "head-too-large")
    assert "2048 bytes" in problem["detail"]
    assert_answers(limited_server)


def test_a_head_just_within_the_limit_is_answered(limited_server: Server) -> None:
    start = head("GET", "/livez", CLOSE)[:-2] + b"X-Long: "
    whole = start.ljust(2048 - 4, b"a") + b"\r\n\r\n"
    assert answer_to(limited_server.port, whole).status == 200
    assert answer_to(limited_server.port, *(whole[place : place + 100] for place in range(0, 2048, 100))).status == 200


def test_a_body_may_be_larger_than_a_head(server: Server) -> None:
    body = json.dumps({"texts": ["good " * 4000]}).encode().ljust(100_000)
    assert answer_to(server.port, posted("/score", body, CLOSE)).status == 200


def test_requests_in_one_piece_are_all_answered(limited_server: Server) -> None:
    probe, last = head("GET", "/livez"), head("GET", "/livez", CLOSE)
    with closing(connect(limited_server.port)) as connection:
        sent(connection, [probe * 200 + last])
        assert received(connection).count(b"HTTP/1.1 200 OK") == 201


@pytest.mark.parametrize("key", [KEY, "X-No: key"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_a_gigabyte_is_neither_read_nor_kept(limited_server: Server, chunked: bool, key: str) -> None:
    process = psutil.Process(limited_server.process.pid)
    before = process.memory_info().rss
    piece = b"a" * 1_000_000
    if chunked:
        start, parts = head("POST", "/score", key, "Transfer-Encoding: chunked"), b"%x\r\n%s\r\n" % (len(piece), piece)
    else:
        start, parts = head("POST", "/score", key, "Content-Length: 1000000000"), piece
    with closing(connect(limited_server.port)) as connection:
        connection.sendall(start + parts)
        answer = next_answer(connection)  # while the client still sends
        count = sent(connection, itertools.repeat(parts, 999))
    status, kind = (413, "body-too-large") if key == KEY else (401, "unauthorized")
    assert (answer.status, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert count <= 1_000_000_000
    assert process.memory_info().rss - before < 50_000_000
    assert_answers(limited_server)


@pytest.mark.parametrize("ending", ["answered", "refused", "vanished"])
def test_bodies_that_are_too_large_together_are_told_to_come_later(small_server: Server, ending: str) -> None:
    def answer(size: int) -> Answer:
        return answer_to(small_server.port, posted("/score", SCORED.ljust(size), CLOSE))

    body = SCORED.ljust(90_000) if ending == "answered" else b"-" * 90_000
    whole = posted("/score", body, CLOSE)
    with closing(connect(small_server.port)) as connection:
        connection.sendall(whole[:-1])
        late = eventually(lambda: late if (late := answer(50_000)).status != 200 else None)
        assert_refused(late, 503, "too-many-bodies")
        assert int(late.headers["retry-after"]) >= 1
        row = small_server.logged(late.headers["x-request-id"])
        assert (row["status"], row["request_body"]) == (503, "")
        assert (answer(10).status, answer(9_000).status) == (200, 200)  # for these there is room
        if ending != "vanished":
            connection.sendall(whole[-1:])
            assert parsed(received(connection)).status == {"answered": 200, "refused": 422}[ending]
    assert eventually(lambda: answer(99_000).status == 200)
    assert answer(150_000).status == 200  # alone


# ---- time ----


@pytest.mark.parametrize(
    "parts",
    [[b"G"], [head("GET", "/model")[:-1]], [head("GET", "/livez"), head("GET", "/livez")[:-1]]],
    ids=["a letter", "all but the end", "the second request"],
)
def test_a_head_that_does_not_end_is_refused_in_time(limited_server: Server, parts: list[bytes]) -> None:
    with closing(connect(limited_server.port)) as connection:
        for part in parts[:-1]:
            connection.sendall(part)
            assert next_answer(connection).status == 200
        connection.sendall(parts[-1])
        problem = assert_refused(parsed(received(connection)), 408, "request-timeout")
    assert "1 seconds" in problem["detail"]


def test_a_body_that_does_not_end_is_refused_in_time(limited_server: Server) -> None:
    for start in (head("POST", "/score", KEY, "Content-Length: 9"), posted("/score", SCORED, KEY)[:-1]):
        answer = answer_to(limited_server.port, start)
        assert_refused(answer, 408, "request-timeout")
        assert limited_server.logged(answer.headers["x-request-id"])["status"] == 408


def test_who_sends_a_byte_now_and_then_is_refused_in_time(limited_server: Server) -> None:
    for start in (b"GET /model HTTP/1.1\r\nX-Slow: ", head("POST", "/score", KEY, "Content-Length: 2000")):
        with closing(connect(limited_server.port)) as connection:
            connection.sendall(start)
            connection.settimeout(0.05)
            status = 0
            while not status:  # a time limit that every byte renews would never end this
                sent(connection, [b"a"])
                with contextlib.suppress(TimeoutError):
                    status = next_answer(connection).status
        assert status == 408
    assert_answers(limited_server)


def test_connections_that_say_nothing_are_closed(small_server: Server) -> None:
    with closing(connect(small_server.port)) as connection:
        connection.sendall(head("GET", "/livez"))
        assert parsed(received(connection)).rest == b""  # closed after keep_alive_seconds


def test_a_connection_without_a_request_is_closed(limited_server: Server) -> None:
    for nothing in (b"", b"\r\n"):
        with closing(connect(limited_server.port)) as connection:
            sent(connection, [nothing])
            assert received(connection) == b""


# ---- HTTP that is none ----


@pytest.mark.parametrize(
    "content",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX\x00Y: 1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
        b"CONNECT example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        head("POST", "/score", "Content-Length: 1", "Content-Length: 2"),
        head("POST", "/score", "Content-Length: 2", "Content-Length: 2") + b"{}",
        head("POST", "/score", "Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head("POST", "/score", "Content-Length: -1"),
        head("POST", "/score", "Content-Length: 9999999999999999999999"),
        head("POST", "/score", "Transfer-Encoding: chunked", KEY) + b"zz\r\n\r\n",
    ],
    ids=lambda content: repr(content)[:50],
)
def test_what_is_no_http_is_refused_or_closed(limited_server: Server, content: bytes) -> None:
    with closing(connect(limited_server.port)) as connection:
        sent(connection, [content])
        answer = received(connection)
    assert not answer or (parsed(answer).status, parsed(answer).json()["type"]) == (400, "/problems/bad-request")
    assert_answers(limited_server)


@pytest.mark.parametrize(
    "header", ["Host: other", f"Authorization: Bearer {API_KEY}", "Content-Type: text/plain"], ids=lambda text: text[:9]
)
def test_a_header_that_means_two_things_is_refused(limited_server: Server, header: str) -> None:
    answer = answer_to(limited_server.port, posted("/score", SCORED, KEY, header, CLOSE))
    assert (answer.status, answer.json()["type"]) == (400, "/problems/bad-request")
    assert header.partition(":")[0].lower() in answer.json()["detail"]


def test_a_header_may_be_there_twice_where_that_means_nothing(limited_server: Server) -> None:
    twice = ("X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 10.0.0.2", CLOSE)
    assert answer_to(limited_server.port, posted("/score", SCORED, KEY, *twice)).status == 200


def test_another_protocol_is_not_taken_up(limited_server: Server) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: h2c", KEY)
    with closing(connect(limited_server.port)) as connection:
        connection.sendall(head("GET", "/model", *upgrade))
        assert next_answer(connection).status == 200
    answer = answer_to(limited_server.port, posted("/score", SCORED, *upgrade))
    assert "Upgrade" in assert_refused(answer, 400, "bad-request")["detail"]
    assert_answers(limited_server)


# ---- connections ----


def test_more_connections_than_the_limit_are_told_to_come_later(small_server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            one = stack.enter_context(closing(connect(small_server.port)))
            one.sendall(head("GET", "/model"))
            assert next_answer(one).status == 200
        answer = answer_to(small_server.port, posted("/score", SCORED))
        assert_refused(answer, 503, "too-many-connections")
        assert int(answer.headers["retry-after"]) >= 1
        for probe in ("/livez", "/readyz", "/health"):
            assert answer_to(small_server.port, head("GET", probe, CLOSE)).status == 200
        one.sendall(posted("/score", SCORED))  # whoever was there first is still served
        assert next_answer(one).status == 200
    eventually(lambda: answer_to(small_server.port, posted("/score", SCORED, CLOSE)).status == 200)
