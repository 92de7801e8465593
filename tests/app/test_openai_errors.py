"""What /v1 refuses, and the exceptions that OpenAI's client makes of it."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from app.errors import MODEL_PROBLEMS, InvalidRequest, ModelNotFound, Problem
from tests.app.raw_http import connect, head, next_answer, sent
from tests.app.support import ENDLESS, Server, eventually

ENDLESSLY: dict[str, Any] = {
    "prompt": ENDLESS["prompt"], "temperature": 0, "max_tokens": 10_000_000, "extra_body": {"repetition_penalty": 0.1},
}  # fmt: skip


@pytest.fixture(scope="module")
def client(server: Server) -> Iterable[OpenAI]:
    with server.openai() as client:
        yield client


@pytest.fixture(scope="module")
def limited(limited_server: Server) -> Iterable[OpenAI]:
    with limited_server.openai() as client:
        yield client


@pytest.fixture(scope="module")
def name(server: Server) -> str:
    model: str = server.health()["model"]
    return model


def assert_openai_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert set(response.json()) == {"error"}
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["message"]
    return error


UNSUPPORTED: list[tuple[str, Any]] = [
    ("best_of", 2),
    ("suffix", "."),
    ("logit_bias", {"50256": -100}),
    ("presence_penalty", 0.5),
    ("frequency_penalty", -0.5),
    ("prompt", [1, 2, 3]),
    ("prompt", [[1, 2], [3]]),
    ("prompt", ["a", 5]),
    ("stream_options.include_obfuscation", {"include_obfuscation": True}),
]


@pytest.mark.parametrize(("parameter", "value"), UNSUPPORTED, ids=str)
def test_what_is_not_supported_is_refused_by_its_name(client: OpenAI, name: str, parameter: str, value: Any) -> None:
    asked = {"prompt": "a", parameter.partition(".")[0]: value}
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=name, **asked, stream="." in parameter)
    assert (caught.value.param, caught.value.code) == (parameter, "unsupported_parameter")
    assert caught.value.type == "invalid_request_error"
    assert parameter in caught.value.message


@pytest.mark.parametrize("parameter", ["messages", "max_completion_tokens", "tools", "Temperature"])
@pytest.mark.parametrize("value", [None, 1])
def test_what_nobody_knows_is_refused_by_its_name(client: OpenAI, name: str, parameter: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=name, prompt="a", extra_body={parameter: value})
    assert (caught.value.param, caught.value.code) == (parameter, "unknown_parameter")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompt": []}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": True}, "prompt"),
    ({"prompt": "a" * 20_001}, "prompt.0"),
    ({"prompt": ["a", "a" * 20_001]}, "prompt.1"),
    ({"prompt": ["a"] * 65}, "prompt"),
    ({"prompt": ["a"] * 13, "n": 5}, "prompt"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1001}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": "16"}, "max_tokens"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"n": 0}, "n"),
    ({"n": 17}, "n"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": ""}, "stop.0"),
    ({"stop": ["a", 1]}, "stop.1"),
    ({"seed": 1.5}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"logprobs": 6}, "logprobs"),
    ({"logprobs": -1}, "logprobs"),
    ({"logprobs": True}, "logprobs"),
    ({"echo": "yes"}, "echo"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"user": 5}, "user"),
    ({"extra_body": {"stars": 6}}, "stars"),
    ({"extra_body": {"top_k": -1}}, "top_k"),
    ({"extra_body": {"min_p": 2}}, "min_p"),
    ({"extra_body": {"repetition_penalty": 0}}, "repetition_penalty"),
]


@pytest.mark.parametrize(("asked", "parameter"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_off_is_named(client: OpenAI, name: str, asked: dict[str, Any], parameter: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=name, **{"prompt": "a", **asked})
    assert (caught.value.param, caught.value.code, caught.value.type) == (
        parameter, "invalid_value", "invalid_request_error",
    )  # fmt: skip
    assert parameter in caught.value.message


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": ["a"] * 64, "max_tokens": 1},
        {"prompt": ["a"] * 4, "n": 16, "max_tokens": 2},
        {"prompt": ("restaurant " * 2000)[:20_000], "max_tokens": 0, "echo": True, "logprobs": 0},
        {"prompt": "", "max_tokens": 0, "echo": True, "logprobs": 5},
        {"max_tokens": 1000, "stop": ["a"] * 4, "seed": -(2**63), "temperature": 2, "top_p": 0},
        {"max_tokens": 2, "seed": 2**63 - 1, "logprobs": 5, "temperature": 0},
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_just_within_the_limits_is_answered(client: OpenAI, name: str, asked: dict[str, Any]) -> None:
    assert client.completions.create(model=name, **{"prompt": "a", **asked}).choices


def test_another_model_is_not_found(client: OpenAI) -> None:
    for ask in (
        lambda: client.completions.create(model="davinci-002", prompt="a"),
        lambda: client.models.retrieve("davinci-002"),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            ask()
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        assert "davinci-002" in caught.value.message


def test_what_openai_has_besides_is_not_found(server: Server, client: OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model=name, messages=[])
    assert caught.value.code == "unknown_url"
    assert "/v1/chat/completions" in caught.value.message
    assert_openai_error(server.client.get("/v1"), 404, "unknown_url")
    refused = server.client.get("/v1/completions")
    assert_openai_error(refused, 405, "method_not_supported")
    assert refused.headers["Allow"] == "POST"
    assert server.client.get("/v1models").headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"prompt": "\xff"}', b"[" * 100_000], ids=str)
def test_a_body_that_is_no_json_object_is_refused(server: Server, content: bytes) -> None:
    response = server.client.post("/v1/completions", content=content, headers={"Content-Type": "application/json"})
    assert assert_openai_error(response, 400, response.json()["error"]["code"])["param"] == "body"


def test_a_missing_model_and_half_a_character_are_refused(server: Server, name: str) -> None:
    for asked in ({"prompt": "a"}, {"prompt": "a", "model": None}):
        error = assert_openai_error(
            server.client.post("/v1/completions", json=asked), 400, "missing_required_parameter"
        )
        assert error["param"] == "model"
    halved = json.dumps({"model": name, "prompt": "\ud83d"}).encode()
    response = server.client.post("/v1/completions", content=halved, headers={"Content-Type": "application/json"})
    assert assert_openai_error(response, 400, "invalid_value")["param"] == "body"


def test_a_wrong_key_is_refused(limited_server: Server, limited: OpenAI) -> None:
    assert limited.models.list().data
    with limited_server.openai("no-key") as stranger:
        for ask in (stranger.models.list, lambda: stranger.completions.create(model="a", prompt="a")):
            with pytest.raises(openai.AuthenticationError) as caught:
                ask()
            assert caught.value.code == "invalid_api_key"
            assert caught.value.response.headers["WWW-Authenticate"] == "Bearer"


def test_a_request_that_is_no_proper_one_is_refused_in_openais_words(server: Server) -> None:
    """Before the service knows of a request, too."""
    for header, status, code in (
        ("Host: b", 400, "bad_request"),
        ("no header", 400, "bad_request"),
        ("X: " + "x" * 40_000, 431, "head_too_large"),
    ):
        with closing(connect(server.port)) as connection:
            sent(connection, [head("GET", "/v1/models", header)])
            answer = next_answer(connection)
        assert (answer.status, answer.json()["error"]["code"]) == (status, code)


def test_a_body_that_is_too_large_is_refused(limited: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        limited.completions.create(model="a", prompt="a" * 3000)
    assert (caught.value.status_code, caught.value.code) == (413, "body_too_large")


def test_what_is_too_much_at_once_and_what_takes_too_long(limited_server: Server, limited: OpenAI) -> None:
    name = limited.models.list().data[0].id
    eventually(lambda: limited_server.health()["rows"] == 0)
    with ThreadPoolExecutor(4) as threads:
        endless = [threads.submit(lambda: limited.completions.create(model=name, n=4, **ENDLESSLY)) for _ in range(4)]
        eventually(lambda: limited_server.health()["rows"] == 16)  # as many reviews as may be written
        for streamed in (False, True):
            with pytest.raises(openai.RateLimitError) as caught:
                limited.completions.create(model=name, prompt=["a", "b", "c"], stream=streamed)
            assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "rate_limit_error")
            assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 5
        for each in endless:
            late = each.exception()
            assert isinstance(late, openai.InternalServerError)
            assert (late.status_code, late.code, late.type) == (504, "deadline_exceeded", "server_error")


def test_a_stream_that_takes_too_long_ends_with_an_error(limited_server: Server, limited: OpenAI) -> None:
    eventually(lambda: limited_server.health()["rows"] == 0)
    name = limited.models.list().data[0].id
    with limited.completions.create(model=name, stream=True, **ENDLESSLY) as stream:
        assert next(stream).choices[0].text
        with pytest.raises(openai.APIError) as caught:
            list(stream)
    assert (caught.value.code, caught.value.type) == ("deadline_exceeded", "server_error")


# ---- the OpenAPI page ----


@pytest.fixture(scope="module")
def page(server: Server) -> dict[str, Any]:
    document: dict[str, Any] = server.client.get("/openapi.json").json()
    return document


@pytest.mark.parametrize("problem", [ModelNotFound, *MODEL_PROBLEMS])
def test_every_problem_has_openais_shape_and_is_documented(problem: type[Problem], page: dict[str, Any]) -> None:
    response = problem("Do this.", headers={"Retry-After": "3"}).response("/v1/completions")
    status = 400 if problem.status == 422 else problem.status
    assert (response.status_code, response.headers["Retry-After"]) == (status, "3")
    (error,) = json.loads(bytes(response.body)).values()
    assert (error["message"], error["param"]) == ("Do this.", None)
    documented = page["paths"]["/v1/completions"]["post"]["responses"][str(status)]
    assert problem.description in documented["description"]
    assert documented["content"]["application/json"]["schema"]["$ref"].endswith("/OpenAIError")
    example = documented["content"]["application/json"]["examples"][problem.type]["value"]["error"]
    assert (example["type"], example["code"]) == (
        error["type"], "invalid_value" if problem is InvalidRequest else error["code"],
    )  # fmt: skip


def test_no_other_error_is_documented(page: dict[str, Any]) -> None:
    early = {"400", "401", "408", "413", "431", "503"}
    every = early | {"200", "404", "429", "500", "504"}
    assert set(page["paths"]["/v1/completions"]["post"]["responses"]) == every
    assert set(page["paths"]["/v1/models"]["get"]["responses"]) == early | {"200"}
    assert set(page["paths"]["/v1/models/{model}"]["get"]["responses"]) == early | {"200", "404"}


def test_examples_work_when_posted(server: Server, page: dict[str, Any]) -> None:
    examples = page["components"]["schemas"]["CompletionRequest"]["examples"]
    assert len(examples) == 2
    for example in examples:
        server.post("/v1/completions", **example)


def test_every_field_is_described(page: dict[str, Any]) -> None:
    schemas = ("CompletionRequest", "StreamOptions", "CompletionChoice", "Logprobs", "OpenAIErrorDetails")
    for schema in schemas:
        for field, described in page["components"]["schemas"][schema]["properties"].items():
            assert "description" in json.dumps(described), f"{schema}.{field}"
