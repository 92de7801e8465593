"""The wire contract, over a real socket."""

import json
import math
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.app.support import API_KEY, ENDLESS, Server, eventually

MODEL_ROUTES: dict[str, dict[str, Any]] = {
    "/next-word": {"text": "The food was"},
    "/generate": {"prompt": "The food", "max_tokens": 3},
    "/score": {"texts": ["I loved it."]},
}


def assert_problem(response: httpx.Response, status: int, kind: str, *fields: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"/problems/{kind}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert [error["field"] for error in problem.get("errors", [])] == list(fields)
    assert all(error["problem"] for error in problem.get("errors", []))
    assert set(problem) == {"type", "title", "status", "detail"} | ({"errors"} if fields else set())
    return problem


def post_bytes(server: Server, path: str, content: bytes | Iterable[bytes]) -> httpx.Response:
    return server.client.post(path, content=content, headers={"Content-Type": "application/json"})


# ---- answers ----


def test_next_word_answers_as_the_contract_says(server: Server) -> None:
    answer = server.post("/next-word", text="The food was", prefix="", k=5, stars=None, punctuation=False)
    assert set(answer) == {"suggestions", "usage", "model"}
    assert [set(each) for each in answer["suggestions"]] == [{"word", "probability"}] * 5
    assert set(answer["usage"]) == {"context_tokens", "cached_tokens"}
    assert answer["usage"]["context_tokens"] == 4
    assert answer["model"] == server.health()["model"]
    assert len(server.post("/next-word", text="The food was")["suggestions"]) == 5
    assert len(server.post("/next-word", text="", k=50)["suggestions"]) == 50
    assert server.post("/next-word", text="The food was", prefix="!")["suggestions"] == []
    for each in server.post("/next-word", text="The food was", prefix="gr")["suggestions"]:
        assert each["word"].startswith("gr")


def test_generate_answers_as_the_contract_says(server: Server) -> None:
    answer = server.post("/generate", prompt="The food", stars=5, n=2, max_tokens=6, seed=11)
    assert set(answer) == {"reviews", "seed", "usage", "model"}
    assert answer["seed"] == 11
    for review in answer["reviews"]:
        assert set(review) == {"text", "finish_reason", "tokens", "log_probability"}
        assert review["finish_reason"] in {"end", "length"}
        assert review["log_probability"] < 0
    tokens = sum(review["tokens"] for review in answer["reviews"])
    assert answer["usage"] == {"prompt_tokens": 3, "generated_tokens": tokens}


def test_the_seed_that_was_drawn_gives_the_text_again(server: Server) -> None:
    drawn = [server.post("/generate", max_tokens=8) for _ in range(2)]
    assert drawn[0]["seed"] != drawn[1]["seed"]
    assert server.post("/generate", max_tokens=8, seed=drawn[0]["seed"]) == drawn[0]


def test_sampling_fields_reach_the_sampler(server: Server) -> None:
    asked = {"prompt": "The food was", "max_tokens": 6, "seed": 5}
    greedy = server.post("/generate", **asked, temperature=0)["reviews"]
    for narrow in ({"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}, {"temperature": 1e-9}):
        assert server.post("/generate", **asked, **narrow)["reviews"] == greedy
    wide = server.post("/generate", **asked, temperature=5.0, top_p=1.0)["reviews"]
    assert wide != greedy
    repeating = server.post("/generate", **ENDLESS, max_tokens=20)["reviews"][0]["text"]
    penalised = server.post("/generate", **ENDLESS | {"repetition_penalty": 10.0}, max_tokens=20)["reviews"][0]["text"]
    assert len(set(repeating.split())) < len(set(penalised.split()))


def test_a_stop_string_over_http(server: Server) -> None:
    whole = server.post("/generate", max_tokens=30, seed=3)["reviews"][0]["text"]
    stop = whole[9:13]
    stopped = server.post("/generate", max_tokens=30, seed=3, stop=["never~", stop])["reviews"][0]
    assert (stopped["text"], stopped["finish_reason"]) == (whole[: whole.find(stop)], "stop")


def test_score_answers_as_the_contract_says(server: Server) -> None:
    texts = ["I loved it.", "it loved I .", "Crème brûlée 😀"]
    answer = server.post("/score", texts=texts, tokens=True)
    assert set(answer) == {"scores", "perplexity", "bits_per_character", "usage", "model"}
    for text, each in zip(texts, answer["scores"], strict=True):
        assert each["characters"] == len(text)
        assert each["tokens"] == len(each["token_scores"])
        assert [set(token) for token in each["token_scores"]] == [
            {"text", "start", "end", "log_probability", "rank"}
        ] * each["tokens"]
        for token in each["token_scores"]:
            assert token["text"] == text[token["start"] : token["end"]]
        assert all(one["start"] <= other["start"] for one, other in pairwise(each["token_scores"]))
        total = sum(token["log_probability"] for token in each["token_scores"])
        assert each["log_probability"] == pytest.approx(total)
        assert each["perplexity"] == pytest.approx(math.exp(-total / each["words"]))
        assert each["token_perplexity"] == pytest.approx(math.exp(-total / each["tokens"]))
        assert each["bits_per_character"] == pytest.approx(-total / math.log(2) / len(text))


def test_the_outer_figures_are_over_all_texts_together(server: Server) -> None:
    answer = server.post("/score", texts=["I loved it.", "it loved I ."])
    scores = answer["scores"]
    total = sum(each["log_probability"] for each in scores)
    assert answer["perplexity"] == pytest.approx(math.exp(-total / sum(each["words"] for each in scores)))
    assert answer["bits_per_character"] == pytest.approx(-total / math.log(2) / 23)
    assert answer["usage"] == {"scored_tokens": sum(each["tokens"] for each in scores)}
    assert all("token_scores" not in each for each in scores)


def test_model_shows_the_description_and_the_limits(limited_server: Server) -> None:
    answer = limited_server.client.get("/model").json()
    assert answer["description"]["format_version"] == 2
    assert answer["model"] == answer["description"]["model"]
    assert answer["limits"] == {
        "max_characters": 50,
        "max_texts": 3,
        "max_body_bytes": 2000,
        "max_held_body_bytes": 67_108_864,
        "max_strings": 2000,
        "max_head_bytes": 2048,
        "max_connections": 1000,
        "max_n": 4,
        "max_tokens": 10_000_000,
        "max_waiting_rows": 256,
        "max_waiting_tokens": 1_000_000_000,
        "max_waiting_reviews": 16,
        "deadline_seconds": 5,
        "read_seconds": 1,
        "write_seconds": 60,
        "keep_alive_seconds": 75,
    }


def test_probes_answer(server: Server) -> None:
    assert server.client.get("/livez").json() == {"status": "ok"}
    assert server.client.get("/readyz").json() == {"status": "ok"}
    page = server.health()
    assert (page["status"], page["ready"], page["log"]["error"], page["log"]["dropped"]) == ("ok", True, None, 0)
    assert page["uptime_seconds"] > 0


# ---- the same bits under load ----


def test_the_same_seed_gives_the_same_text_while_others_write(server: Server) -> None:
    asked = {"prompt": "We went", "max_tokens": 40, "seed": 123, "stars": 3}
    alone = server.post("/generate", **asked)
    with ThreadPoolExecutor(12) as threads, httpx.Client(base_url=server.client.base_url, timeout=120) as client:

        def write(place: int) -> int:
            body = {"n": 1 + place % 4, "max_tokens": 150, "seed": place}
            return client.post("/generate", json=body).status_code

        others = [threads.submit(write, place) for place in range(12)]  # 30 reviews
        eventually(lambda: server.health()["rows"] >= 16 or all(other.done() for other in others))
        amid = server.post("/generate", **asked)
        assert [other.result() for other in others] == [200] * 12
    assert amid == alone


def test_a_text_scores_the_same_bits_in_a_batch_of_32(server: Server) -> None:
    text = "The service was slow, but it's worth the wait."
    alone = server.post("/score", texts=[text], tokens=True)["scores"][0]
    others = [f"Table {place} was dirty" + ", very" * place + "." for place in range(31)]
    batch = server.post("/score", texts=[*others[:17], text, *others[17:]], tokens=True)["scores"]
    assert batch[17] == alone


# ---- what is refused ----

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/next-word", {}, "text"),
    ("/next-word", {"text": None}, "text"),
    ("/next-word", {"text": 5}, "text"),
    ("/next-word", {"text": ["a"]}, "text"),
    ("/next-word", {"text": "a" * 20_001}, "text"),
    ("/next-word", {"text": "a", "k": 0}, "k"),
    ("/next-word", {"text": "a", "k": 51}, "k"),
    ("/next-word", {"text": "a", "k": "5"}, "k"),
    ("/next-word", {"text": "a", "k": True}, "k"),
    ("/next-word", {"text": "a", "k": 5.5}, "k"),
    ("/next-word", {"text": "a", "k": None}, "k"),
    ("/next-word", {"text": "a", "prefix": "a b"}, "prefix"),
    ("/next-word", {"text": "a", "prefix": "a\n"}, "prefix"),
    ("/next-word", {"text": "a", "prefix": "a" * 101}, "prefix"),
    ("/next-word", {"text": "a", "stars": 0}, "stars"),
    ("/next-word", {"text": "a", "stars": 6}, "stars"),
    ("/next-word", {"text": "a", "stars": "5"}, "stars"),
    ("/next-word", {"text": "a", "punctuation": "yes"}, "punctuation"),
    ("/next-word", {"text": "a", "temperature": 1.0}, "temperature"),
    ("/generate", {"prompt": "a" * 20_001}, "prompt"),
    ("/generate", {"n": 0}, "n"),
    ("/generate", {"n": 17}, "n"),
    ("/generate", {"max_tokens": 0}, "max_tokens"),
    ("/generate", {"max_tokens": 1001}, "max_tokens"),
    ("/generate", {"temperature": -0.1}, "temperature"),
    ("/generate", {"temperature": 10.1}, "temperature"),
    ("/generate", {"temperature": "hot"}, "temperature"),
    ("/generate", {"top_k": -1}, "top_k"),
    ("/generate", {"top_k": 1.5}, "top_k"),
    ("/generate", {"top_p": 0}, "top_p"),
    ("/generate", {"top_p": 1.01}, "top_p"),
    ("/generate", {"min_p": -0.01}, "min_p"),
    ("/generate", {"min_p": 1.01}, "min_p"),
    ("/generate", {"repetition_penalty": 0}, "repetition_penalty"),
    ("/generate", {"repetition_penalty": 10.1}, "repetition_penalty"),
    ("/generate", {"stop": "a"}, "stop"),
    ("/generate", {"stop": [""]}, "stop.0"),
    ("/generate", {"stop": ["a", "b" * 101]}, "stop.1"),
    ("/generate", {"stop": ["a"] * 17}, "stop"),
    ("/generate", {"seed": -1}, "seed"),
    ("/generate", {"seed": 2**53}, "seed"),
    ("/generate", {"seed": 1.5}, "seed"),
    ("/generate", {"stream": 1}, "stream"),
    ("/generate", {"text": "a"}, "text"),
    ("/score", {}, "texts"),
    ("/score", {"texts": []}, "texts"),
    ("/score", {"texts": "a"}, "texts"),
    ("/score", {"texts": ["a", ""]}, "texts.1"),
    ("/score", {"texts": ["a", None]}, "texts.1"),
    ("/score", {"texts": ["a", "b" * 20_001]}, "texts.1"),
    ("/score", {"texts": ["a"] * 65}, "texts"),
    ("/score", {"texts": ["a"], "tokens": "no"}, "tokens"),
    ("/score", {"texts": ["a"], "text": "b"}, "text"),
]


@pytest.mark.parametrize(("path", "body", "field"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_field_that_is_off_is_named(server: Server, path: str, body: dict[str, Any], field: str) -> None:
    problem = assert_problem(server.client.post(path, json=body), 422, "invalid-request", field)
    assert field in problem["detail"]


def test_all_fields_that_are_off_are_named_at_once(server: Server) -> None:
    response = server.client.post("/generate", json={"n": 0, "top_p": 2, "shout": True})
    assert_problem(response, 422, "invalid-request", "n", "top_p", "shout")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/next-word", {"text": "a" * 20_000, "k": 1, "prefix": "b" * 100, "stars": 1}),
        ("/next-word", {"text": "", "k": 1, "stars": 5, "punctuation": True}),
        ("/generate", {"prompt": "", "n": 16, "max_tokens": 1, "temperature": 10, "top_k": 10**30, "top_p": 1}),
        (
            "/generate",
            {"max_tokens": 2, "temperature": 5e-324, "min_p": 1, "repetition_penalty": 0.1, "seed": 2**53 - 1},
        ),
        ("/generate", {"max_tokens": 1000, "stop": [" ", *["b" * 100] * 15], "seed": 0, "repetition_penalty": 10}),
        ("/score", {"texts": ["a"] * 64}),
        ("/score", {"texts": ["\u0000 \ufeff\u202e\U0010ffff"], "stars": None}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_just_within_the_limits_is_answered(server: Server, path: str, body: dict[str, Any]) -> None:
    server.post(path, **body)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/next-word", {"text": "a" * 51}, "text"),
        ("/generate", {"prompt": "a" * 51}, "prompt"),
        ("/generate", {"n": 5}, "n"),
        ("/generate", {"max_tokens": 10_000_001}, "max_tokens"),
        ("/score", {"texts": ["a"] * 4}, "texts"),
        ("/score", {"texts": ["a", "a" * 51]}, "texts.1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_limits_are_settings(limited_server: Server, path: str, body: dict[str, Any], field: str) -> None:
    assert_problem(limited_server.client.post(path, json=body), 422, "invalid-request", field)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"text": "a",}',
        b"{'text': 'a'}",
        b'{"text": "a"} b',
        b'{"text": "\xff"}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"text":' * 50_000,
        b'{"text": "a", "k": ' + b"1" * 5000 + b"}",
        b'{"\\ud800": 1}',
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_body_that_is_no_json_object_is_refused(server: Server, content: bytes) -> None:
    assert_problem(post_bytes(server, "/next-word", content), 422, "invalid-request", "body")


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        ("/next-word", b'{"text": "\\ud83d"}', "body"),
        ("/next-word", b'{"text": "a", "prefix": "\\ude00"}', "body"),
        ("/generate", b'{"prompt": "\\ud83d and more"}', "body"),
        ("/generate", b'{"stop": ["a", "\\udc00"]}', "body"),
        ("/score", b'{"texts": ["a", "b\\udfff"]}', "body"),
        ("/generate", b'{"temperature": NaN}', "temperature"),
        ("/generate", b'{"temperature": Infinity}', "temperature"),
        ("/generate", b'{"top_p": -Infinity}', "top_p"),
        ("/generate", b'{"min_p": 1e999}', "min_p"),
        ("/generate", b'{"seed": NaN}', "seed"),
    ],
)
def test_json_that_means_nothing_is_refused(server: Server, path: str, content: bytes, field: str) -> None:
    assert_problem(post_bytes(server, path, content), 422, "invalid-request", field)


def test_a_body_that_does_not_say_that_it_is_json_is_refused(server: Server) -> None:
    """A page of another site can send a form without asking, but not JSON."""
    for media_type in ("text/plain", "application/x-www-form-urlencoded"):
        refused = server.client.post("/next-word", content=b'{"text": "a"}', headers={"Content-Type": media_type})
        assert "application/json" in assert_problem(refused, 422, "invalid-request", "body")["detail"]
    said = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert server.client.post("/next-word", content=b'{"text": "a"}', headers=said).status_code == 200


def test_whole_characters_in_surrogate_pairs_are_taken(server: Server) -> None:
    escaped = post_bytes(server, "/score", b'{"texts": ["\\ud83d\\ude00"]}')
    assert escaped.json() == server.post("/score", texts=["😀"])


def test_a_body_that_is_too_large_is_refused(limited_server: Server) -> None:
    content = json.dumps({"texts": ["a"]}).encode().ljust(2001)
    assert_problem(post_bytes(limited_server, "/score", content), 413, "body-too-large")
    assert post_bytes(limited_server, "/score", content[:2000]).status_code == 200

    def pieces() -> Iterator[bytes]:  # sent in chunks, without a Content-Length
        yield content[:100]
        yield content[100:]

    assert_problem(post_bytes(limited_server, "/score", pieces()), 413, "body-too-large")
    assert post_bytes(limited_server, "/score", iter([content[:9], content[9:2000]])).status_code == 200


def test_what_is_not_there_and_what_is_asked_wrongly(server: Server) -> None:
    problem = assert_problem(server.client.get("/no-such-page"), 404, "not-found")
    assert "/no-such-page" in problem["detail"]
    refused = server.client.get("/score")
    assert_problem(refused, 405, "method-not-allowed")
    assert refused.headers["Allow"] == "POST"


# ---- too much at once, and too long ----


def test_what_is_too_much_at_once_and_what_takes_too_long(limited_server: Server) -> None:
    asked = {**ENDLESS, "n": 4, "max_tokens": 10_000_000}
    with ThreadPoolExecutor(4) as threads:
        endless = [threads.submit(limited_server.client.post, "/generate", json=asked) for _ in range(4)]
        with httpx.Client(base_url=limited_server.client.base_url, timeout=120) as client:
            client.headers["Authorization"] = f"Bearer {API_KEY}"
            eventually(lambda: client.get("/health").json()["rows"] == 16)  # as many reviews as may be written
            refused = client.post("/generate", json={"n": 1})
            assert "16 reviews of work are waiting" in assert_problem(refused, 429, "overloaded")["detail"]
            assert 1 <= int(refused.headers["Retry-After"]) <= 5
            assert client.post("/next-word", json={"text": "The"}).status_code == 200
            assert client.post("/score", json={"texts": ["a"] * 3}).status_code == 200
        for each in endless:
            assert_problem(each.result(), 504, "deadline-exceeded")
    assert limited_server.health()["rows"] == 0


# ---- around every answer ----


@pytest.mark.parametrize("given", ["a", "A-1_b.c:d", "x" * 128])
def test_a_sane_request_id_is_echoed(server: Server, given: str) -> None:
    for path in ("/livez", "/no-such-page"):
        assert server.client.get(path, headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "é", "<script>", "a,b"])
def test_another_request_id_is_replaced(server: Server, given: str) -> None:
    headers = [(b"X-Request-ID", given.encode())]
    began = time.time_ns() // 1_000_000
    ids = [server.client.get("/livez", headers=headers).headers["X-Request-ID"] for _ in range(2)]
    ended = time.time_ns() // 1_000_000
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
    assert ids[0] != ids[1]
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}
    first, second = (int(each[:12], 16) for each in ids)
    assert began <= first <= second <= ended


@pytest.mark.parametrize(("path", "body"), MODEL_ROUTES.items())
def test_server_timing_tells_where_the_time_went(server: Server, path: str, body: dict[str, Any]) -> None:
    timing = server.client.post(path, json=body).headers["Server-Timing"]
    parts = re.fullmatch(r"queue;dur=([\d.]+), model;dur=([\d.]+), total;dur=([\d.]+)", timing)
    assert parts, timing
    queue, model, total = (float(part) for part in parts.groups())
    assert 0 < model <= total
    assert queue + model <= total + 0.02  # each is rounded


def test_every_answer_carries_its_id_and_timing(server: Server) -> None:
    for response in (
        server.client.get("/no-such-page"),
        server.client.get("/score"),
        server.client.post("/score", json={}),
        server.client.get("/health"),
        server.client.post("/generate", json={"max_tokens": 1, "stream": True}),
    ):
        assert response.headers["X-Request-ID"]
        assert response.headers["Server-Timing"].startswith("queue;dur=")


# ---- keys ----


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {API_KEY}", 200),
        (f"bearer  {API_KEY}", 200),
        ("Bearer another-key", 200),
        (f"Bearer {API_KEY}x", 401),
        (f"Bearer {API_KEY[:-1]}", 401),
        (f"Basic {API_KEY}", 401),
        (API_KEY, 401),
        ("Bearer", 401),
        ("", 401),
        (f"Bearer another-key, {API_KEY}", 401),
        ("Bearer \u00e9", 401),
    ],
)
def test_a_key_is_taken_as_a_whole(limited_server: Server, authorization: str, status: int) -> None:
    response = limited_server.client.get("/model", headers=[(b"Authorization", authorization.encode())])
    assert response.status_code == status


def test_who_has_no_key_is_told_how_to_send_one(limited_server: Server) -> None:
    with httpx.Client(base_url=limited_server.client.base_url) as client:
        for method, path in (("GET", "/model"), ("POST", "/score"), ("GET", "/no-such-page")):
            response = client.request(method, path)
            assert_problem(response, 401, "unauthorized")
            assert response.headers["WWW-Authenticate"] == "Bearer"


def test_without_keys_nothing_is_guarded(server: Server) -> None:
    assert server.client.get("/model").status_code == 200


# ---- the OpenAPI page ----


@pytest.fixture(scope="module")
def page(server: Server) -> dict[str, Any]:
    document: dict[str, Any] = server.client.get("/openapi.json").json()
    return document


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def test_every_reference_leads_somewhere(page: dict[str, Any]) -> None:
    references = set(_references(page))
    assert "#/components/schemas/ProblemDetails" in references
    for reference in references:
        part = page
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def test_every_error_of_every_route_is_documented(page: dict[str, Any]) -> None:
    documented = {path: set(page["paths"][path]["post"]["responses"]) for path in MODEL_ROUTES}
    every = {"200", "400", "401", "408", "413", "422", "429", "431", "500", "503", "504"}
    assert documented == dict.fromkeys(MODEL_ROUTES, every)
    for path in MODEL_ROUTES:
        for status, response in page["paths"][path]["post"]["responses"].items():
            if status != "200":
                content = response["content"]
                assert list(content) == ["application/problem+json"]
                examples = content["application/problem+json"]["examples"]
                assert {example["value"]["status"] for example in examples.values()} == {int(status)}
    for path in ("/model", "/metrics"):
        assert set(page["paths"][path]["get"]["responses"]) == {"200", "400", "401", "408", "413", "431", "503"}
    assert set(page["paths"]["/readyz"]["get"]["responses"]) == {"200", "503"}
    assert set(page["paths"]["/health"]["get"]["responses"]) == {"200", "503"}


def test_examples_work_when_posted(server: Server, page: dict[str, Any]) -> None:
    for path in MODEL_ROUTES:
        schema = page["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        examples = page["components"]["schemas"][name]["examples"]
        assert examples
        for example in examples:
            server.post(path, **example)


def test_every_field_is_described(page: dict[str, Any]) -> None:
    for name in ("NextWordRequest", "GenerateRequest", "ScoreRequest", "Review", "TokenScore"):
        for field, schema in page["components"]["schemas"][name]["properties"].items():
            assert "description" in json.dumps(schema), f"{name}.{field}"


def test_the_pages_are_served(server: Server) -> None:
    assert "swagger-ui-bundle.js" in server.client.get("/docs").text
    assert "SwaggerUIBundle" in server.client.get("/static/swagger-ui/swagger-ui-bundle.js").text
