"""Every server that is compared, over a real socket: what it answers, and that nothing of it is left behind."""

import asyncio
import dataclasses
import importlib.util
import itertools
from collections.abc import Iterator

import pytest

from benchmarks.peers.measure import Measuring
from benchmarks.peers.peers import OURS, PEERS, TRANSFORMER
from benchmarks.peers.processes import Running, running
from benchmarks.peers.traffic import Traffic, check, checks
from benchmarks.serve.traffic import typed
from tests.app.random_artifact import SENTENCES, write_random_artifact
from training.errors import TrainingError

FRAMEWORKS = {"litserve": "litserve", "bentoml": "bentoml", "ray-serve": "ray", "mosec": "mosec"}
TEXTS = [" ".join(SENTENCES[number % 5 :] + SENTENCES) for number in range(128)]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny one, which all of them serve."""
    directory = tmp_path_factory.mktemp("artifact")
    write_random_artifact(directory)
    return str(directory)


@pytest.fixture(scope="module")
def traffic(artifact: str) -> Traffic:
    with running(PEERS[OURS], model_directory=artifact) as service:
        answers = [service.server.post(path, **body) for path, body in checks(TEXTS)]
    return Traffic(TEXTS, answers)


@pytest.fixture(scope="module")
def plain(artifact: str) -> Iterator[Running]:
    with running(PEERS["fastapi"], model_directory=artifact) as found:
        yield found


def test_those_who_type_are_at_all_places_of_their_texts() -> None:
    texts = [" ".join(f"{text}w{word}" for word in range(150)) for text in range(5 * 64)]
    requests = [each["text"] for each in Traffic(texts, []).typing]
    assert sorted(requests) == sorted(each["text"] for text in texts[:-64] for each in typed(text))
    for moment in (0, 64 * 77, len(requests) - 64):
        words = sorted(text.count(" ") for text in requests[moment : moment + 64])
        assert all(0 <= later - before <= 3 for before, later in itertools.pairwise(words))
        assert words[0] <= 3
        assert words[-1] >= 147
    for number in range(64, len(requests), 64):  # each goes on with a text, or begins another
        before, now = requests[number - 64], requests[number]
        assert now.startswith(before) or now.count(" ") == 1
    beside = [each["text"] for each in Traffic(texts, []).typing_beside]
    assert beside[0] == "256w0 "
    assert not set(beside) & set(requests)


def test_plain_fastapi_answers_as_the_service_does(plain: Running, traffic: Traffic) -> None:
    assert check(plain.peer, plain.server, traffic) == {"compared": 6, "equal": 6}
    assert 0 < plain.cold_start < 100
    assert plain.memory_bytes() > 10_000_000
    assert plain.cpu_seconds() > 0


def test_other_answers_are_refused(plain: Running, traffic: Traffic) -> None:
    for place, path in ((0, "/next-word"), (-7, "/score")):
        answers = [*traffic.answers]
        answers[place] = {"suggestions": [], "scores": [{"log_probability": 0.0}] * 16}
        with pytest.raises(TrainingError, match=f"fastapi answers {path} otherwise than the service"):
            check(plain.peer, plain.server, dataclasses.replace(traffic, answers=answers))


def test_all_but_typing_is_measured(plain: Running, traffic: Traffic) -> None:
    measuring = Measuring(plain, traffic, scale=0.05)
    alone, streamed = asyncio.run(measuring.writing(1, stream=False)), asyncio.run(measuring.writing(4, stream=True))
    assert alone["failed"] == streamed["failed"] == 0
    assert alone["tokens_per_second"] > alone["requests_per_second"] > 0
    assert 0 < streamed["first_p50"] <= streamed["p50"]
    assert measuring.seeds["different"] == 0
    assert measuring.seeds["equal"] >= 2
    scored = asyncio.run(measuring.scoring())
    assert (scored["failed"], scored["requests_per_second"] > 0) == (0, True)
    overload = asyncio.run(measuring.overload(20.0))
    assert overload["shares"] == {"200": 1.0}


def test_a_seed_that_writes_another_text_is_noticed(plain: Running, traffic: Traffic) -> None:
    measuring = Measuring(plain, traffic, scale=0.05)
    measuring.texts[0] = "another text"
    asyncio.run(measuring.writing(1, stream=False))
    assert measuring.seeds["different"] >= 1


def test_nothing_of_a_server_is_left_behind(artifact: str) -> None:
    with running(PEERS[TRANSFORMER], model_directory=artifact) as transformer:
        body = {"prompt": "The food", "seed": 4, "max_tokens": 20}
        whole = transformer.server.posted("/generate", body)
        assert whole["usage"]["generated_tokens"] <= 20
        assert transformer.server.posted("/generate", body) == whole
        processes = transformer.processes()
    assert not any(process.is_running() for process in processes)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_framework_answers_as_the_service_does(name: str, artifact: str, traffic: Traffic) -> None:
    if importlib.util.find_spec(FRAMEWORKS[name]) is None:
        pytest.skip(f"{FRAMEWORKS[name]} is not installed (pip install '.[peers]')")
    with running(PEERS[name], model_directory=artifact) as peer:
        assert check(peer.peer, peer.server, traffic) == {"compared": 6, "equal": 6}
        processes = peer.processes()
    assert not any(process.is_running() for process in processes)
