"""REVIEW_LM_WORKERS: several real processes answer on one port as if they were one."""

import json
import signal
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.support import ENDLESS, Server, eventually, running_server
from tests.app.swaps import MODELS, Artifacts, clients

ENDLESSLY: dict[str, Any] = {**ENDLESS, "max_tokens": 1_000_000, "stream": True}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return Artifacts(tmp_path_factory.mktemp("artifacts"))


@contextmanager
def several(directory: Path, artifact: Path, **settings: str) -> Iterator[tuple[Server, Path]]:
    """A service of two workers, all of them ready, and the folder in which they have theirs."""
    given = {"WORKERS": "2", "MODEL_DIRECTORY": str(artifact), "DEADLINE_SECONDS": "600"}
    given |= {"MAX_TOKENS": "1000000", "MAX_WAITING_TOKENS": "100000000", **settings}
    variables = {f"REVIEW_LM_{name}": value for name, value in given.items()}
    with (
        tempfile.TemporaryDirectory() as folder,  # a socket's path may not be as long as pytest's folders are
        running_server(directory, TMPDIR=folder, **variables) as server,
    ):
        both_answer(server)
        yield server, Path(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, artifacts: Artifacts) -> Iterator[Server]:
    with several(tmp_path_factory.mktemp("several"), artifacts.link, LOG_DURABILITY="commit") as (running, _):
        yield running


def get(server: Server, path: str) -> httpx.Response:
    """On a connection of its own, which no worker can have taken with it."""
    return httpx.get(f"{server.client.base_url}{path}", timeout=60)


def both_answer(server: Server) -> None:
    def both() -> bool:
        page = get(server, "/health")
        return page.status_code == 200 and page.json()["status"] == "ok"

    eventually(both)


def workers(server: Server) -> dict[int, dict[str, Any]]:
    return {worker["pid"]: worker for worker in get(server, "/health").json()["workers"]}


def all_have(server: Server, model: str) -> bool:
    return {worker["model"] for worker in workers(server).values()} == {model}


def rows_of(server: Server) -> Counter[str]:
    with closing(sqlite3.connect(server.database)) as connection:
        return Counter(request_id for (request_id,) in connection.execute("SELECT request_id FROM requests"))


def requests_counted(server: Server, route: str = "/score") -> float:
    page = get(server, "/metrics").text
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    counts = [sample for sample in samples if sample.name == "review_lm_requests_total"]
    return sum(sample.value for sample in counts if sample.labels["route"] == route)


def test_health_and_metrics_speak_for_both(server: Server) -> None:
    page = get(server, "/health").json()
    assert len({worker["pid"] for worker in page["workers"]}) == 2
    assert {worker["pid"] for worker in page["workers"]} == {
        child.pid for child in psutil.Process(server.process.pid).children()
    }
    before = requests_counted(server)
    with clients(server, 6, "both") as asking:
        eventually(lambda: all(worker["log"]["written"] > 5 for worker in workers(server).values()))
    asked = sum(path == "/score" for path, _, _ in asking.answers.values())
    assert requests_counted(server) == before + asked
    assert get(server, "/health").json()["log"]["written"] == sum(
        worker["log"]["written"] for worker in workers(server).values()
    )
    assert (asking.broken, {status for _, status, _ in asking.answers.values()}) == ([], {200})


def test_a_worker_that_is_killed_is_replaced_and_takes_nothing_with_it(server: Server) -> None:
    """But the requests that it was answering: every row of an answer is there, once, and what it counted stays."""
    with server.client.stream("POST", "/generate", json=ENDLESSLY) as stream:
        lines = stream.iter_lines()
        next(lines)
        there = workers(server).values()
        (busy,) = (worker["pid"] for worker in there if worker["rows"])
        (idle,) = (worker["pid"] for worker in there if not worker["rows"])
        counted = requests_counted(server)
        with clients(server, 6, "killed") as asking:
            asking.wait_for(30)
            psutil.Process(idle).kill()
            replaced = eventually(lambda: pids if len(pids := set(workers(server))) == 2 and idle not in pids else None)
            asking.wait_for(30)
        assert busy in replaced
        assert "text" in json.loads(next(line for line in lines if line)[6:])
    assert len(asking.broken) <= 6  # one a client
    assert {status for _, status, _ in asking.answers.values()} == {200}
    rows = rows_of(server)
    assert all(rows[request_id] == 1 for request_id in asking.answers)
    assert max(rows.values()) == 1
    asked = sum(path == "/score" for path, _, _ in asking.answers.values())
    assert requests_counted(server) >= counted + asked - 6  # a count comes after its answer
    both_answer(server)
    assert server.output.count("was ended by SIGKILL; another takes its place") == 1


def test_a_worker_with_much_to_do_leaves_connections_to_the_other(server: Server) -> None:
    with server.client.stream("POST", "/generate", json=ENDLESSLY) as stream:
        lines = stream.iter_lines()
        next(lines)
        before = workers(server)
        (idle,) = (pid for pid, worker in before.items() if not worker["rows"])
        for _ in range(20):
            # On a connection of its own; those that ask for /health do not count.
            httpx.post(f"{server.client.base_url}/score", json={"texts": ["Good."]}).raise_for_status()
        taken = workers(server)[idle]["log"]["written"] - before[idle]["log"]["written"]
    assert taken > 15, "where both try at once the busy one takes about half"


def test_both_take_another_model_and_refuse_a_damaged_one(server: Server, artifacts: Artifacts) -> None:
    with clients(server, 4, "swap") as asking:
        for name in (*MODELS[::-1], MODELS[1]):
            artifacts.show(name)
            server.process.send_signal(signal.SIGHUP)
            eventually(partial(all_have, server, name))
        artifacts.show("damaged")
        server.process.send_signal(signal.SIGHUP)
        refused = eventually(lambda: get(server, "/health").json()["refused"])
    assert "is damaged or was changed" in refused
    assert server.output.count("is refused") == 1
    assert (asking.broken, {status for _, status, _ in asking.answers.values()}) == ([], {200})
    # Whoever takes another's place begins with the model that the others have.
    killed = min(workers(server))
    psutil.Process(killed).kill()
    eventually(lambda: len(workers(server)) == 2 and killed not in workers(server))
    assert all_have(server, MODELS[1])
    artifacts.show(MODELS[0])
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: get(server, "/health").json()["refused"] is None)


def test_sigterm_drains_both_and_leaves_nothing_behind(tmp_path: Path, random_artifact: Path) -> None:
    asked = {**ENDLESS, "max_tokens": 3000, "seed": 1}
    with several(tmp_path, random_artifact, SHUTDOWN_SECONDS="120") as (server, folder):
        assert len(list(folder.glob("review-lm-*/*.socket"))) == 2
        alone = server.post("/generate", **asked)
        pids = list(workers(server))
        with server.client.stream("POST", "/generate", json={**asked, "stream": True}) as stream:
            lines = stream.iter_lines()
            first = next(lines)
            for pid in pids:  # as a service manager may ask every process
                psutil.Process(pid).terminate()
            server.process.send_signal(signal.SIGTERM)
            events = [json.loads(line[6:]) for line in [first, *lines] if line and line != "data: [DONE]"]
        assert "".join(event.get("text", "") for event in events) == alone["reviews"][0]["text"]
        assert server.process.wait(60) == 0
        assert list(folder.iterdir()) == []
        assert set(rows_of(server).values()) == {1}
        assert len(rows_of(server)) == 2


def test_a_second_signal_ends_both_now(tmp_path: Path, random_artifact: Path) -> None:
    with several(tmp_path, random_artifact, SHUTDOWN_SECONDS="600", DRAIN_SECONDS="600") as (server, folder):
        pids = list(workers(server))
        with server.client.stream("POST", "/generate", json=ENDLESSLY) as stream:
            next(stream.iter_lines())
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: get(server, "/readyz").status_code == 503)
            page = get(server, "/health")
            assert (page.status_code, page.json()["status"]) == (503, "unavailable")
            assert server.process.poll() is None
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(60) == 128 + signal.SIGINT
        assert not any(map(psutil.pid_exists, pids))
        assert list(folder.iterdir()) == []


def test_workers_end_with_the_process_that_started_them(tmp_path: Path, random_artifact: Path) -> None:
    with several(tmp_path, random_artifact) as (server, folder):
        pids = list(workers(server))
        server.process.kill()
        server.process.wait()
        eventually(lambda: not any(map(psutil.pid_exists, pids)))
        assert list(folder.iterdir()) == []


def test_one_worker_is_one_process(tmp_path: Path, random_artifact: Path) -> None:
    with running_server(tmp_path, REVIEW_LM_MODEL_DIRECTORY=str(random_artifact)) as server:
        eventually(lambda: get(server, "/health").json()["ready"])
        assert list(workers(server)) == [server.process.pid]
        assert psutil.Process(server.process.pid).children() == []
