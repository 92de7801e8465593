"""/v1 as OpenAI's own client sees it: models, texts, streams."""

import asyncio
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from openai import OpenAI
from openai.types import Completion, CompletionChoice

from tests.app.support import ENDLESS, Server, eventually

FINISH = {"end": "stop", "stop": "stop", "length": "length"}
OURS = {"stars", "top_k", "min_p", "repetition_penalty"}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterable[OpenAI]:
    with server.openai() as client:
        yield client


@pytest.fixture(scope="module")
def name(server: Server) -> str:
    model: str = server.health()["model"]
    return model


def arguments(asked: dict[str, Any]) -> dict[str, Any]:
    """As the client takes them: what it has no name for in `extra_body`."""
    theirs = {key: value for key, value in asked.items() if key not in OURS}
    return {**theirs, "extra_body": {key: value for key, value in asked.items() if key in OURS}}


def joined(chunks: Iterable[Completion]) -> list[dict[str, Any]]:
    """The choices that the pieces of a stream make together."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for piece in chunk.choices:
            choice = choices.setdefault(piece.index, {"index": piece.index, "text": "", "logprobs": None})
            assert not choice.get("finish_reason"), "a piece came after the last"
            choice["finish_reason"] = piece.finish_reason
            choice["text"] += piece.text
            if piece.logprobs:
                lists = piece.logprobs.model_dump()
                so_far = choice["logprobs"] or dict.fromkeys(lists)
                choice["logprobs"] = {
                    key: so_far[key] if each is None else [*(so_far[key] or []), *each] for key, each in lists.items()
                }
    return [choices[index] for index in sorted(choices)]


def dumped(choices: list[CompletionChoice]) -> list[dict[str, Any]]:
    return [choice.model_dump() for choice in choices]


def spelled(token: str) -> bytes:
    """The bytes of a token that is no special one."""
    if not token.startswith("bytes:"):
        return token.encode()
    return re.sub(rb"\\x(..)", lambda escaped: bytes.fromhex(escaped[1].decode()), token[6:].encode())


# ---- models ----


def test_the_model_is_listed_and_retrieved(server: Server, client: OpenAI, name: str) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == (name, "model", "review-lm")
    created = server.client.get("/model").json()["description"]["created"]
    assert datetime.fromtimestamp(model.created, UTC).date().isoformat() == created
    assert client.models.retrieve(name) == model


# ---- texts ----


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "The food", "temperature": 0.8, "top_p": 0.95},
        {"prompt": "", "temperature": 1.7, "n": 3, "stars": 1},
        {"prompt": "The waiter ", "temperature": 0.7, "top_k": 5, "stars": 4},
        {"prompt": "So", "temperature": 2.0, "min_p": 0.1},
        {"prompt": "It is", "temperature": 0, "repetition_penalty": 1.5},
        {"prompt": "We", "temperature": 0.5, "stop": [" the", "."], "max_tokens": 60},
        {"prompt": "We", "temperature": 0.5, "stop": " the", "max_tokens": 60},
        {"prompt": "Good 😀", "temperature": 1.0, "max_tokens": 200, "stars": 5},
    ],
    ids=str,
)
def test_the_text_is_that_of_generate(server: Server, client: OpenAI, name: str, asked: dict[str, Any]) -> None:
    asked = {"seed": 21, "max_tokens": 20, "top_p": 1.0} | asked
    completion = client.completions.create(model=name, **arguments(asked))
    stop = asked.get("stop", [])
    same = server.post("/generate", **asked | {"stop": [stop] if isinstance(stop, str) else stop})
    assert [choice.text for choice in completion.choices] == [review["text"] for review in same["reviews"]]
    assert [choice.finish_reason for choice in completion.choices] == [
        FINISH[review["finish_reason"]] for review in same["reviews"]
    ]
    assert [choice.index for choice in completion.choices] == list(range(asked.get("n", 1)))
    assert completion.usage
    prompt_tokens, generated = same["usage"]["prompt_tokens"], same["usage"]["generated_tokens"]
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (prompt_tokens, generated)
    assert completion.usage.total_tokens == prompt_tokens + generated
    assert (completion.object, completion.model) == ("text_completion", name)


def test_the_defaults_are_those_of_openai(server: Server, client: OpenAI, name: str) -> None:
    completion = client.completions.create(model=name, prompt="The", seed=-5)
    spelled_out = client.completions.create(
        model=name, prompt=["The"], seed=-5, max_tokens=16, temperature=1, top_p=1, n=1, echo=False, stream=False
    )
    assert completion.choices == spelled_out.choices
    assert completion.usage
    assert completion.usage.completion_tokens == 16
    same = server.post("/generate", prompt="The", seed=9, max_tokens=16, temperature=1, top_p=1)["reviews"]
    assert client.completions.create(model=name, prompt="The", seed=9).choices[0].text == same[0]["text"]


def test_null_stands_for_the_default_and_what_means_nothing_is_taken(server: Server, name: str) -> None:
    asked = {"model": name, "prompt": "", "seed": 4}
    plain = server.post("/v1/completions", **asked)
    optional = set(
        server.client.get("/openapi.json").json()["components"]["schemas"]["CompletionRequest"]["properties"]
    )
    nothing: dict[str, Any] = {
        "best_of": 1, "suffix": "", "logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0, "user": "me",
        "stop": [], "stars": None, "stream": False,
    }  # fmt: skip
    for same in (dict.fromkeys(optional - set(asked)) | {"prompt": None}, nothing):
        answer = server.post("/v1/completions", **asked | same)
        assert answer["choices"] == plain["choices"]
    assert server.post("/v1/completions", **asked, n=2, best_of=2)["choices"][0] == plain["choices"][0]


def test_choices_are_numbered_prompt_by_prompt(client: OpenAI, name: str) -> None:
    asked: dict[str, Any] = {"model": name, "seed": 8, "max_tokens": 12}
    prompts = ["The food", "The food", "We "]
    whole = client.completions.create(prompt=prompts, n=2, **asked)
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3, 4, 5]
    alone = client.completions.create(prompt="The food", n=4, **asked)
    assert whole.choices[:4] == alone.choices  # a text depends on the seed and on its number
    assert len({choice.text for choice in alone.choices}) == 4
    last = client.completions.create(prompt="We ", n=6, **asked)
    assert whole.choices[4:] == last.choices[4:]
    assert whole.usage
    assert alone.usage
    assert last.usage
    assert whole.usage.prompt_tokens == 2 * alone.usage.prompt_tokens + last.usage.prompt_tokens


def test_without_a_seed_texts_differ(client: OpenAI, name: str) -> None:
    texts = {client.completions.create(model=name, prompt="", max_tokens=12).choices[0].text for _ in range(3)}
    assert len(texts) == 3


def test_echo_tells_the_prompt_first(client: OpenAI, name: str) -> None:
    asked: dict[str, Any] = {"model": name, "prompt": ["The food was ", "😀"], "seed": 3, "n": 2, "max_tokens": 9}
    plain, echoed = (client.completions.create(**asked, echo=echo) for echo in (False, True))
    assert [choice.text for choice in echoed.choices] == [
        prompt + choice.text for prompt, choice in zip(["The food was "] * 2 + ["😀"] * 2, plain.choices, strict=True)
    ]
    assert echoed.usage == plain.usage
    nothing = client.completions.create(**asked | {"max_tokens": 0}, echo=True)
    assert [(choice.text, choice.finish_reason) for choice in nothing.choices] == [
        ("The food was ", "length"), ("The food was ", "length"), ("😀", "length"), ("😀", "length"),
    ]  # fmt: skip
    assert nothing.usage
    assert nothing.usage.completion_tokens == 0


# ---- streams ----

STREAMED: list[dict[str, Any]] = [
    {"prompt": "The food", "max_tokens": 40},
    {"prompt": ["The", "", "It was 😀 "], "max_tokens": 12, "n": 2},
    {"prompt": "We", "max_tokens": 40, "stop": [" the", "."], "logprobs": 2},
    {"prompt": ["Wow 😀", "So "], "max_tokens": 8, "echo": True, "logprobs": 5, "n": 2},
    {"prompt": ["Wow 😀", "So "], "max_tokens": 0, "echo": True, "logprobs": 0},
    {"prompt": "", "max_tokens": 25, "temperature": 2.0, "logprobs": 0, "stars": 2},
]


@pytest.mark.parametrize("asked", STREAMED, ids=str)
def test_the_pieces_are_the_whole(client: OpenAI, name: str, asked: dict[str, Any]) -> None:
    whole = client.completions.create(model=name, seed=6, **arguments(asked))
    chunks = list(client.completions.create(model=name, seed=6, stream=True, **arguments(asked)))
    assert joined(chunks) == dumped(whole.choices)
    assert {(chunk.id, chunk.object, chunk.model, chunk.created) for chunk in chunks} == {
        (chunks[0].id, "text_completion", name, chunks[0].created)
    }
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks)


def test_the_usage_ends_a_stream_if_asked_for(server: Server, client: OpenAI, name: str) -> None:
    asked: dict[str, Any] = {"model": name, "prompt": "The", "seed": 1, "max_tokens": 5}
    *pieces, last = client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    whole = client.completions.create(**asked)
    assert (last.choices, last.usage) == ([], whole.usage)
    assert joined(pieces) == dumped(whole.choices)
    body = asked | {"stream": True, "stream_options": {"include_usage": True}}
    lines = [line for line in server.client.post("/v1/completions", json=body).text.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all('"usage": null' in line for line in lines[:-2])


def test_the_asynchronous_client_and_many_at_once(server: Server, client: OpenAI, name: str) -> None:
    whole = [dumped(client.completions.create(model=name, seed=6, **arguments(asked)).choices) for asked in STREAMED]

    async def together() -> tuple[list[Any], list[Any]]:
        async with server.async_openai() as other:

            async def plain(asked: dict[str, Any]) -> Any:
                return dumped((await other.completions.create(model=name, seed=6, **arguments(asked))).choices)

            async def streamed(asked: dict[str, Any]) -> Any:
                stream = await other.completions.create(model=name, seed=6, stream=True, **arguments(asked))
                return joined([chunk async for chunk in stream])

            assert (await other.models.retrieve(name)).id == name
            plains, streams = map(plain, STREAMED), map(streamed, STREAMED)
            return await asyncio.gather(*plains), await asyncio.gather(*streams)

    assert asyncio.run(together()) == (whole, whole)


def test_a_client_that_leaves_frees_its_rows(limited_server: Server) -> None:
    eventually(lambda: limited_server.health()["rows"] == 0)
    name = limited_server.health()["model"]
    with limited_server.openai() as client:
        asked = arguments({**ENDLESS, "prompt": ["the the the"] * 3, "max_tokens": 10_000_000})
        with client.completions.create(model=name, stream=True, **asked) as stream:
            assert next(iter(stream)).choices[0].text
            assert limited_server.health()["rows"] == 3
        # Before the deadline could free them.
        eventually(lambda: limited_server.health()["rows"] == 0, seconds=4)


# ---- around ----


def test_a_completion_is_logged_under_its_id(server: Server, client: OpenAI, name: str) -> None:
    completion = client.completions.create(model=name, prompt="The food", max_tokens=4, user="somebody")
    row = server.logged(completion.id.removeprefix("cmpl-"))
    assert (row["route"], row["status"], row["model"]) == ("/v1/completions", 200, name)
    assert completion.usage
    assert (row["tokens_in"], row["tokens_out"]) == (completion.usage.prompt_tokens, completion.usage.completion_tokens)
    assert '"somebody"' in row["request_body"]


def test_log_probabilities_of_what_is_written(server: Server, client: OpenAI, name: str) -> None:
    asked: dict[str, Any] = {"prompt": "The soup was ", "seed": 2, "max_tokens": 1000, "temperature": 0.9, "stars": 3}
    completion = client.completions.create(model=name, logprobs=3, **arguments(asked))
    review = server.post("/generate", **asked, top_p=1.0)["reviews"][0]
    (choice,) = completion.choices
    told = choice.logprobs
    assert told
    assert told.tokens
    assert told.token_logprobs
    assert told.text_offset
    assert told.top_logprobs
    # Under the model itself, whatever the temperature.
    assert math.fsum(told.token_logprobs) == pytest.approx(review["log_probability"], rel=1e-12)
    assert (choice.finish_reason, review["finish_reason"], told.tokens[-1]) == ("stop", "end", "<end>")
    assert len(told.tokens) == review["tokens"]
    assert b"".join(map(spelled, told.tokens[:-1])).decode(errors="replace") == choice.text
    whole = asked["prompt"] + choice.text
    assert told.text_offset[0] == len(asked["prompt"])
    assert told.text_offset[-1] == len(whole)
    for token, start in zip(told.tokens[:-1], told.text_offset, strict=False):
        assert whole[start:].startswith(token) or token.startswith("bytes:")
    for token, value, top in zip(told.tokens, told.token_logprobs, told.top_logprobs, strict=True):
        assert top[token] == value
        assert 1 <= len(top) <= 4


def test_at_temperature_zero_the_most_probable_token_is_taken(client: OpenAI, name: str) -> None:
    completion = client.completions.create(model=name, prompt="The", temperature=0, logprobs=5, max_tokens=12)
    told = completion.choices[0].logprobs
    assert told
    assert told.top_logprobs
    assert told.tokens == [max(top, key=lambda token: top[token]) for top in told.top_logprobs]


@pytest.mark.parametrize("top", [0, 2, 5])
@pytest.mark.parametrize("stars", [None, 5])
def test_echo_scores_prompts_as_score_does(
    server: Server, client: OpenAI, name: str, top: int, stars: int | None
) -> None:
    texts = ["I loved it.", "it loved I . ", "Crème 😀", "The waiter never came back. " * 9]
    completion = client.completions.create(
        model=name, prompt=texts, max_tokens=0, echo=True, logprobs=top, extra_body={"stars": stars}
    )
    scores = server.post("/score", texts=texts, tokens=True, stars=stars)["scores"]
    for text, choice, score in zip(texts, completion.choices, scores, strict=True):
        told, (first, *others) = choice.logprobs, score["token_scores"][:-1]
        assert told
        assert told.tokens
        assert choice.text == text
        assert told.token_logprobs == [None, *(token["log_probability"] for token in others)]
        assert told.text_offset == [token["start"] for token in (first, *others)]
        for token, scored in zip(told.tokens, (first, *others), strict=True):
            assert token == scored["text"] or token.startswith("bytes:")
        if not top:
            assert told.top_logprobs is None
            continue
        assert told.top_logprobs
        assert told.top_logprobs[0] is None
        for place, scored in enumerate(others, 1):
            assert told.top_logprobs[place][told.tokens[place]] == scored["log_probability"]
            assert (len(told.top_logprobs[place]) <= top) or scored["rank"] > top
