"""POST /generate with `stream`: the same text, piece by piece."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.app.support import ENDLESS, Server, eventually


def events(lines: Iterator[str]) -> Iterator[Any]:
    """The events of a stream, parsed; `[DONE]` as it is."""
    for line in lines:
        if line:
            assert line.startswith("data: "), line
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


def stream(server: Server, **asked: Any) -> list[Any]:
    with server.client.stream("POST", "/generate", json=asked | {"stream": True}) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        return list(events(response.iter_lines()))


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "The food", "max_tokens": 40, "seed": 4},
        {"n": 4, "max_tokens": 30, "seed": 9, "stars": 1},
        {"max_tokens": 40, "seed": 12, "stop": [" the", "."]},
        {"max_tokens": 25, "seed": 1, "temperature": 10, "top_p": 1},
        {"prompt": "So good ", "max_tokens": 1, "seed": 3},
    ],
    ids=str,
)
def test_the_pieces_are_the_text(server: Server, asked: dict[str, Any]) -> None:
    whole = server.post("/generate", **asked)
    *pieces, summary, done = stream(server, **asked)
    assert done == "[DONE]"
    assert summary == {"usage": whole["usage"], "seed": asked["seed"], "model": whole["model"]}
    for index, review in enumerate(whole["reviews"]):
        own = [piece for piece in pieces if piece["index"] == index]
        assert own[-1] == {"index": index, "finish_reason": review["finish_reason"]}
        assert all(set(piece) == {"index", "text"} and piece["text"] for piece in own[:-1])
        assert "".join(piece["text"] for piece in own[:-1]) == review["text"]
    assert {piece["index"] for piece in pieces} == set(range(len(whole["reviews"])))


def test_a_seed_that_was_drawn_is_told(server: Server) -> None:
    *pieces, summary, _ = stream(server, max_tokens=6)
    again = server.post("/generate", max_tokens=6, seed=summary["seed"])
    assert "".join(piece.get("text", "") for piece in pieces) == again["reviews"][0]["text"]


def test_pieces_come_while_the_review_is_written(limited_server: Server) -> None:
    asked = {**ENDLESS, "max_tokens": 10_000_000, "stream": True}
    with limited_server.client.stream("POST", "/generate", json=asked) as response:
        pieces = events(response.iter_lines())
        assert next(pieces)["text"]
        assert limited_server_rows(limited_server) == 1  # it is being written still


def limited_server_rows(server: Server) -> int:
    with httpx.Client(base_url=server.client.base_url, timeout=120) as client:
        rows: int = client.get("/health").json()["rows"]
        return rows


def test_a_client_that_leaves_frees_its_rows(limited_server: Server) -> None:
    eventually(lambda: limited_server_rows(limited_server) == 0)
    asked = {**ENDLESS, "n": 3, "max_tokens": 10_000_000, "stream": True}
    with limited_server.client.stream("POST", "/generate", json=asked) as response:
        pieces = events(response.iter_lines())
        assert next(pieces)["text"]
        assert limited_server_rows(limited_server) == 3
    # Before the deadline could free them: what ends here was cancelled, and answered with 200 so far.
    eventually(lambda: limited_server_rows(limited_server) == 0, seconds=4)
    row = limited_server.logged(response.headers["X-Request-ID"])
    assert row["status"] == 200


def test_a_client_that_leaves_before_the_whole_answer_frees_its_rows(limited_server: Server) -> None:
    eventually(lambda: limited_server_rows(limited_server) == 0)
    asked = {**ENDLESS, "n": 2, "max_tokens": 10_000_000}
    with pytest.raises(httpx.ReadTimeout):
        limited_server.client.post("/generate", json=asked, timeout=0.5, headers={"X-Request-ID": "left-early"})
    eventually(lambda: limited_server_rows(limited_server) == 0, seconds=3)
    assert limited_server.logged("left-early")["status"] == 499


def test_a_slow_reader_gets_all_of_the_text(server: Server) -> None:
    asked = {"n": 16, "max_tokens": 300, "seed": 5, "min_p": 0.05}
    whole = server.post("/generate", **asked)
    texts = [""] * 16
    with server.client.stream("POST", "/generate", json=asked | {"stream": True}) as response:
        pieces = response.iter_bytes()
        begun = next(pieces)
        eventually(lambda: server.health()["rows"] == 0)  # all is written before any more of it is read
        received = (begun + b"".join(pieces)).decode()
    for piece in events(iter(received.splitlines())):
        if "text" in piece:
            texts[piece["index"]] += piece["text"]
    assert texts == [review["text"] for review in whole["reviews"]]


def test_an_overloaded_stream_is_refused_before_the_first_byte(limited_server: Server) -> None:
    eventually(lambda: limited_server_rows(limited_server) == 0)
    asked = {**ENDLESS, "max_tokens": 10_000_000, "stream": True}
    streams = [limited_server.client.stream("POST", "/generate", json=asked | {"n": 4}) for _ in range(4)]
    responses = [each.__enter__() for each in streams]  # 16 of 18 rows
    try:
        assert [response.status_code for response in responses] == [200] * 4
        refused = limited_server.client.post("/generate", json=asked | {"n": 3})
        assert refused.status_code == 429
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["type"] == "/problems/overloaded"
        assert int(refused.headers["Retry-After"]) >= 1
    finally:
        for each in streams:
            each.__exit__(None, None, None)


def test_a_stream_that_takes_too_long_ends_with_an_error(limited_server: Server) -> None:
    eventually(lambda: limited_server_rows(limited_server) == 0)
    *pieces, error, done = stream(limited_server, **ENDLESS, max_tokens=10_000_000)
    assert done == "[DONE]"
    assert error["error"]["type"] == "/problems/deadline-exceeded"
    assert error["error"]["status"] == 504
    assert all(set(piece) == {"index", "text"} for piece in pieces)


def test_a_stream_with_a_wrong_field_is_refused(server: Server) -> None:
    response = server.client.post("/generate", json={"stream": True, "n": 17})
    assert response.status_code == 422
    assert response.headers["Content-Type"] == "application/problem+json"
