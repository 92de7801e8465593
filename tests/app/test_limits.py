"""What a body may hold: bounded in bytes, in depth and in strings, and text of every kind, over a real socket."""

import json

import pytest

from tests.app.support import Server
from tests.app.test_service import assert_problem, post_bytes

MARKS = "e" + "\u0301" * 299
FAMILY = "\U0001f468\u200d" * 100


@pytest.mark.parametrize(
    "text",
    [
        MARKS,
        "\u0301" * 2000,
        FAMILY,
        "a" * 2000,
        "\x00" * 100,
        "\u202e\ufeff\u200b" * 100,
        "\U0010ffff\ufdd0",
        "\r\n\t",
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_text_of_any_kind_is_text(server: Server, text: str) -> None:
    (score,) = server.post("/score", texts=[text], tokens=True)["scores"]
    assert score["characters"] == len(text)
    assert score["log_probability"] < 0
    server.post("/next-word", text=text, k=3)
    server.post("/generate", prompt=text, max_tokens=2, stop=[text[:50]])


def test_a_word_that_could_hardly_be_less_probable_has_a_perplexity(server: Server) -> None:
    (score,) = server.post("/score", texts=["q" * 3000])["scores"]
    assert score["words"] == 2
    assert score["perplexity"] == pytest.approx(1.797e308, rel=1e-2)
    assert score["token_perplexity"] < 1e6


@pytest.mark.parametrize(
    "content",
    [
        b"{" + b",".join(b'"%x":1' % number for number in range(100_000)) + b"}",
        b'{"texts":["' + b'","'.join([b"a"] * 100_000) + b'"]}',
        b'{"texts":["a"],"more":[' + b'"\\\\",' * 100_000 + b'""]}',
    ],
    ids=["fields", "texts", "backslashes"],
)
def test_a_body_of_very_many_strings_is_refused_at_once(server: Server, content: bytes) -> None:
    problem = assert_problem(post_bytes(server, "/score", content), 422, "invalid-request", "body")
    assert "2000 strings" in problem["detail"]


def test_quotes_in_a_text_are_no_strings(server: Server) -> None:
    server.post("/score", texts=['"' * 6000])


def test_a_list_of_very_many_wrong_items_is_one_problem(server: Server) -> None:
    content = b'{"texts":[' + b"1," * 1_000_000 + b"1]}"
    assert_problem(post_bytes(server, "/score", content), 422, "invalid-request", "texts.0")


def test_of_many_wrong_fields_some_are_named(server: Server) -> None:
    body = {"texts": ["a"], **{f"field-{number}" + "x" * 200: 1 for number in range(30)}}
    response = post_bytes(server, "/score", json.dumps(body).encode())
    problem = response.json()
    assert (response.status_code, len(problem["errors"])) == (422, 20)
    assert problem["detail"].endswith("; and 10 more")
    assert all(len(error["field"]) == 100 for error in problem["errors"])


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_json_is_taken_as_json_alone(server: Server, media: str) -> None:
    """A page of another site may send these without asking first, so that they must not reach the model."""
    headers = {"Content-Type": media} if media else {}
    response = server.client.post("/score", content=b'{"texts": ["a"]}', headers=headers)
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")


def test_a_whole_number_may_be_written_as_a_float(server: Server) -> None:
    whole = {"stars": 5, "n": 2, "max_tokens": 3, "top_k": 40, "seed": 7}
    floats = {name: float(value) for name, value in whole.items()}
    assert server.post("/generate", **floats) == server.post("/generate", **whole)
    assert len(server.post("/next-word", text="The", k=3.0)["suggestions"]) == 3
    response = server.client.post("/next-word", json={"text": "The", "k": 51.0})
    assert_problem(response, 422, "invalid-request", "k")
