"""GET /metrics of the real server, read as Prometheus reads it."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.calls import STEPS
from tests.app.support import ENDLESS, Server, eventually, running_server

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def quiet_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that nobody else talks to, so that its counts are known."""
    with running_server(tmp_path_factory.mktemp("quiet")) as server:
        yield server


def samples(server: Server) -> Samples:
    response = server.client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name.removeprefix("review_lm_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def rise(before: Samples, after: Samples, name: str, **labels: str) -> float:
    key = (name, frozenset(labels.items()))
    return after[key] - before.get(key, 0.0)


def test_what_was_asked_is_counted(quiet_server: Server) -> None:
    before = samples(quiet_server)
    quiet_server.post("/next-word", text="A text that is new here")
    quiet_server.post("/next-word", text="A text that is new here too")
    written = quiet_server.post("/generate", n=2, max_tokens=7, seed=1)
    quiet_server.post("/score", texts=["Good.", "Bad."])
    assert quiet_server.client.post("/score", json={"texts": []}).status_code == 422
    assert quiet_server.client.get("/nowhere").status_code == 404
    after = samples(quiet_server)

    for route, status, count in (
        ("/next-word", "200", 2),
        ("/generate", "200", 1),
        ("/score", "200", 1),
        ("/score", "422", 1),
        ("none", "404", 1),
    ):
        assert rise(before, after, "requests_total", route=route, status=status) == count
    assert rise(before, after, "request_seconds_count", route="/next-word") == 2
    assert rise(before, after, "work_total", end="finished") == 4
    assert rise(before, after, "queue_seconds_count") == 4
    assert rise(before, after, "state_cache_hits_total") == 1
    assert rise(before, after, "state_cache_misses_total") == 2
    assert rise(before, after, "first_token_seconds_count") == 1
    turns = max(review["tokens"] for review in written["reviews"])
    assert rise(before, after, "token_seconds_count") == turns - 1
    calls = rise(before, after, "model_seconds_count", kind="decode")
    assert (turns - 1) / STEPS <= calls < turns - 1  # several tokens a call, as nobody else was there
    assert rise(before, after, "batch_rows_count", kind="decode") == calls
    assert rise(before, after, "batch_rows_sum", kind="score") == 2
    assert after["ready", frozenset()] == 1
    assert after["admitted_rows", frozenset()] == after["admitted_tokens", frozenset()] == 0
    assert after["state_cache_bytes", frozenset()] > 0
    eventually(lambda: samples(quiet_server)["log_written_rows_total", frozenset()] >= 6)


def test_work_under_way_that_is_given_up_and_refused_is_seen(limited_server: Server) -> None:
    eventually(lambda: limited_server.health()["rows"] == 0)
    before = samples(limited_server)
    asked = ENDLESS | {"max_tokens": 10_000_000, "n": 4, "stream": True}
    lines: list[Iterator[str]] = []
    with ExitStack() as streams:
        for _ in range(4):
            response = streams.enter_context(limited_server.client.stream("POST", "/generate", json=asked))
            lines.append(response.iter_lines())  # a stream of which nobody has the lines is closed
            assert "text" in next(lines[-1])
        during = samples(limited_server)
        assert during["admitted_rows", frozenset()] == during["running_rows", frozenset()] == 16
        assert during["admitted_tokens", frozenset()] > 16 * 10_000_000
        assert limited_server.client.post("/generate", json=asked).status_code == 429
    eventually(lambda: limited_server.health()["rows"] == 0, seconds=4)
    after = samples(limited_server)
    assert rise(before, after, "work_total", end="refused") == 1
    assert rise(before, after, "work_total", end="cancelled") == 4


def test_metrics_ask_for_the_key(limited_server: Server) -> None:
    assert httpx.get(f"{limited_server.client.base_url}/metrics").status_code == 401
