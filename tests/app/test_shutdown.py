"""SIGTERM to a real process: it says that it is not ready, finishes what it was asked, loses nothing, and exits 0."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.raw_http import connect, head, next_answer, posted, received
from tests.app.support import ENDLESS, Server, eventually, running_server

SCORED = json.dumps({"texts": ["The soup was cold."]}).encode()


@contextmanager
def draining_server(directory: Path, artifact: Path, **settings: str) -> Iterator[Server]:
    given = {"MODEL_DIRECTORY": str(artifact), "MAX_TOKENS": "10000000", "DEADLINE_SECONDS": "600"}
    given |= {"MAX_WAITING_TOKENS": "1000000000", **settings}
    with running_server(directory, **{f"REVIEW_LM_{name}": value for name, value in given.items()}) as server:
        yield server


def statuses(server: Server) -> list[int]:
    with closing(sqlite3.connect(server.database)) as connection:
        return [status for (status,) in connection.execute("SELECT status FROM requests ORDER BY id")]


def test_what_was_admitted_is_finished_and_logged(tmp_path: Path, random_artifact: Path) -> None:
    asked = {**ENDLESS, "max_tokens": 3000, "seed": 1}
    with draining_server(tmp_path, random_artifact, SHUTDOWN_SECONDS="120") as server, ThreadPoolExecutor(2) as threads:
        alone = server.post("/generate", **asked)
        with server.client.stream("POST", "/generate", json={**asked, "stream": True}) as stream:
            whole = threads.submit(httpx.post, f"{server.client.base_url}/generate", json=asked, timeout=120)
            lines = stream.iter_lines()
            first = next(lines)
            eventually(lambda: server.health()["rows"] == 2)
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: refuses_connections(server))
            events = [json.loads(line[6:]) for line in [first, *lines] if line and line != "data: [DONE]"]
        assert "".join(event.get("text", "") for event in events) == alone["reviews"][0]["text"]
        assert whole.result().json() == alone
        assert whole.result().headers["Connection"] == "close"
        assert server.process.wait(60) == 0
        assert statuses(server) == [200, 200, 200]


def refuses_connections(server: Server) -> bool:
    try:
        connect(server.port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_service_that_drains_is_not_ready_but_answers(tmp_path: Path, random_artifact: Path) -> None:
    with draining_server(tmp_path, random_artifact, DRAIN_SECONDS="600") as server:
        before = server.post("/score", texts=["The soup was cold."])
        with closing(connect(server.port)) as kept, closing(connect(server.port)) as new:
            kept.sendall(head("GET", "/readyz"))
            answer = next_answer(kept)
            assert (answer.status, answer.headers.get("connection")) == (200, None)
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: server.client.get("/readyz").status_code == 503)
            assert server.client.get("/readyz").json()["type"] == "/problems/not-ready"
            page = server.client.get("/health")
            assert (page.status_code, page.json()["status"]) == (503, "unavailable")
            assert server.client.get("/livez").status_code == 200
            eventually(lambda: server.client.get("/livez").headers.get("Connection") == "close")
            for connection in (kept, new):  # one from before, and one that is new
                connection.sendall(posted("/score", SCORED))
                answer = next_answer(connection)
                assert (answer.status, answer.json()) == (200, before)
                assert answer.headers["connection"] == "close"
                assert received(connection) == b""
        server.process.kill()


def test_idle_connections_do_not_hold_it_up(tmp_path: Path, random_artifact: Path) -> None:
    with draining_server(tmp_path, random_artifact, SHUTDOWN_SECONDS="600") as server, ExitStack() as stack:
        idle, silent = (stack.enter_context(closing(connect(server.port))) for _ in range(2))
        idle.sendall(head("GET", "/livez"))
        assert next_answer(idle).status == 200
        silent.sendall(b"GET /li")
        server.health()  # behind the bytes above
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        assert (received(idle), received(silent)) == (b"", b"")


def test_what_takes_too_long_is_cut_and_logged(tmp_path: Path, random_artifact: Path) -> None:
    with draining_server(tmp_path, random_artifact, SHUTDOWN_SECONDS="0.2") as server, ThreadPoolExecutor(1) as threads:
        asked = {**ENDLESS, "max_tokens": 10_000_000}
        with server.client.stream("POST", "/generate", json={**asked, "stream": True}) as stream:
            whole = threads.submit(httpx.post, f"{server.client.base_url}/generate", json=asked, timeout=120)
            lines = stream.iter_lines()
            next(lines)
            eventually(lambda: server.health()["rows"] == 2)
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        assert (whole.result().status_code, whole.result().json()["type"]) == (503, "/problems/not-ready")
        assert server.process.wait(60) == 0
        assert "2 requests took longer than 0.2 seconds and are cut" in server.output
        assert "Traceback" not in server.output
        assert sorted(statuses(server)) == [200, 503]


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_now(tmp_path: Path, random_artifact: Path, again: signal.Signals) -> None:
    with draining_server(tmp_path, random_artifact, SHUTDOWN_SECONDS="600", DRAIN_SECONDS="600") as server:
        asked = {**ENDLESS, "max_tokens": 10_000_000, "stream": True}
        with server.client.stream("POST", "/generate", json=asked) as stream:
            next(stream.iter_lines())
            server.process.send_signal(signal.SIGTERM)
            with httpx.Client(base_url=server.client.base_url) as other:
                eventually(lambda: other.get("/readyz").status_code == 503)
            assert server.process.poll() is None
            server.process.send_signal(again)
            assert server.process.wait(60) == 128 + again
