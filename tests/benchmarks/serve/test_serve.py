"""That the benchmarks measure what they say: what they send, what they read, and what they compare with."""

import asyncio
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch

from app.language_model import load_language_model
from benchmarks.beside.plain import PlainLanguageModel
from benchmarks.serve import results
from benchmarks.serve.client import post
from benchmarks.serve.traffic import lettered, typed, typed_together
from benchmarks.servers import Server as BenchmarkedServer
from benchmarks.servers import serving
from benchmarks.wrk import one_by_one, total_milliseconds
from tests.app.support import ARTIFACT


def test_a_keyboard_asks_after_every_word() -> None:
    assert [*typed("so very good")] == [{"text": "so "}, {"text": "so very "}, {"text": "so very good "}]


def test_typists_take_turns() -> None:
    texts = ["a b", "c d", "e f", "g h"]
    assert [request["text"] for request in typed_together(texts, 2)] == [
        *["a ", "c ", "a b ", "c d "],
        *["e ", "g ", "e f ", "g h "],
    ]


def test_letters_are_asked_for_behind_the_same_text() -> None:
    assert [*lettered("so bad")] == [
        *[{"text": "", "prefix": prefix} for prefix in ("", "s", "so")],
        *[{"text": "so ", "prefix": prefix} for prefix in ("", "b", "ba", "bad")],
    ]
    together = typed_together(["a bc", "de f"], 2, lettered)
    assert [(request["text"], request["prefix"]) for request in together] == [
        *[("", ""), ("", ""), ("", "a"), ("", "d"), ("a ", ""), ("", "de")],
        *[("a ", "b"), ("de ", ""), ("a ", "bc"), ("de ", "f")],
    ]


@pytest.fixture(scope="module")
def service() -> Iterator[BenchmarkedServer]:
    with serving() as running:
        yield running


def test_the_client_reads_what_others_read(service: BenchmarkedServer) -> None:
    body = {"prompt": "The food", "seed": 4, "n": 2, "max_tokens": 20}
    whole = asyncio.run(post(service, "/generate", body))
    assert whole.status == 200
    assert whole.json == httpx.post(f"{service.url}/generate", json=body).json()
    assert whole.headers["content-type"] == "application/json"
    streamed = asyncio.run(post(service, "/generate", {**body, "stream": True}))
    texts = ["", ""]
    for event in streamed.events[:-1]:
        texts[event["index"]] += event.get("text", "")
    assert texts == [review["text"] for review in whole.json["reviews"]]
    assert streamed.events[-1]["seed"] == 4
    assert streamed.first_event is not None
    assert 0 < streamed.first_event <= streamed.seconds


def test_a_refusal_is_an_answer(service: BenchmarkedServer) -> None:
    answer = asyncio.run(post(service, "/next-word", {"text": 5}))
    assert answer.status == 422
    assert answer.json["status"] == 422
    assert total_milliseconds(answer.headers["server-timing"]) > 0


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_requests_one_by_one_are_timed_in_their_order(service: BenchmarkedServer) -> None:
    answers = one_by_one(f"{service.url}/next-word", [*typed("The staff was so very friendly")])
    assert len(answers) == 6
    assert all(0 < each.server_milliseconds < each.milliseconds for each in answers)
    with pytest.raises(AssertionError, match="422"):
        one_by_one(f"{service.url}/next-word", [{"text": "The staff "}, {"text": 5}])
    with pytest.raises(AssertionError, match="422"):
        one_by_one(f"{service.url}/next-word", [{"text": 5}, {"text": "The staff "}])


def test_metrics_and_memory_are_those_of_the_server(service: BenchmarkedServer) -> None:
    assert service.metric("admitted_rows") == 0
    assert service.resident_bytes > 10_000_000


@pytest.mark.parametrize("module", ["benchmarks.beside.empty", "benchmarks.beside.plain"])
def test_what_the_service_is_compared_with_answers_as_it_does(service: BenchmarkedServer, module: str) -> None:
    request = {"text": "The food was ", "k": 5}
    ours = service.post("/next-word", **request)
    with serving(module) as other:
        answer = other.post("/next-word", **request)
        assert httpx.post(f"{other.url}/next-word", json={"text": 5}).status_code == 422
    assert answer.keys() == ours.keys()
    assert [suggestion.keys() for suggestion in answer["suggestions"]] == [{"word", "probability"}] * 5


def test_the_plain_way_computes_what_the_artifact_does_without_its_tables() -> None:
    model = load_language_model(ARTIFACT)
    weights = model.module.state_dict()
    plain = PlainLanguageModel(weights)
    tokens = [model.vocabulary.opening(5), *model.vocabulary.encode("The food was good and the service was")]
    state = model.initial_state(1)
    with torch.inference_mode():
        for token in tokens:
            log_probabilities, state = model.step(torch.tensor([token]), state)
        expected, found = log_probabilities[0].exp(), plain(torch.tensor([tokens]))[0].exp()
    assert math.isclose(float(found.sum()), 1, rel_tol=1e-4)
    # int8 against float32, and the tables are left out: alike, not equal.
    assert float(torch.minimum(expected, found).sum()) > (0.95 if "ngrams.table" not in weights else 0.3)


def test_results_are_kept_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results.keep(tmp_path, "bits", {"generations": 1200, "shares": {"equal": 0.25, "all_of": 3.14159}})
    kept = json.loads((tmp_path / "bits.json").read_text())
    assert kept["result"]["generations"] == 1200
    shown = capsys.readouterr().out
    assert results.page(tmp_path) in shown
    assert "| generations | 1,200 |" in shown
    assert "| shares: equal | 0.25 |" in shown
    assert "| shares: all of | 3.14 |" in shown
