"""SIGHUP to a real process: another model answers, and whoever asks meanwhile notices nothing but its name."""

import asyncio
import json
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.artifact import load_artifact
from app.log.request_log import RequestLog
from app.serving import Serving
from app.settings import Settings
from app.telemetry import Telemetry
from tests.app.support import ENDLESS, Server, eventually, running_server
from tests.app.swaps import MODELS, Artifacts, answers_of, clients, substance


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return Artifacts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def swapped(tmp_path_factory: pytest.TempPathFactory, artifacts: Artifacts) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("swapped")
    variables = {"REVIEW_LM_MODEL_DIRECTORY": str(artifacts.link), "REVIEW_LM_DEADLINE_SECONDS": "600"}
    with running_server(directory, REVIEW_LM_MAX_TOKENS="1000000", **variables) as server:
        yield server


def swap(server: Server, artifacts: Artifacts, name: str) -> None:
    """Shows the service another model, and waits until it answers."""
    artifacts.show(name)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.health()["model"] == name)


def test_every_answer_under_load_is_of_the_model_that_it_names(swapped: Server, artifacts: Artifacts) -> None:
    swap(swapped, artifacts, MODELS[1])
    expected = {MODELS[1]: answers_of(swapped)}
    swap(swapped, artifacts, MODELS[0])
    expected[MODELS[0]] = answers_of(swapped)
    with clients(swapped, 4, "load") as asking:
        for name in (*MODELS[::-1], *MODELS[::-1]):
            swap(swapped, artifacts, name)
            asking.wait_for(20)
    assert asking.broken == []
    assert {status for _, status, _ in asking.answers.values()} == {200}
    for path, _, answer in asking.answers.values():
        assert substance(answer) == expected[answer["model"]][path]
    assert {answer["model"] for _, _, answer in asking.answers.values()} == set(MODELS)
    eventually(lambda: swapped.health()["workers"][0]["finishing"] == [])
    eventually(lambda: swapped.health()["log"]["waiting"] == 0)
    logged = {row["request_id"]: row["model"] for row in swapped.log_rows("request_id LIKE 'load-%'")}
    assert logged == {request_id: answer["model"] for request_id, (_, _, answer) in asking.answers.items()}
    assert "Traceback" not in swapped.output


def test_a_stream_is_written_to_its_end_by_the_model_that_began_it(swapped: Server, artifacts: Artifacts) -> None:
    swap(swapped, artifacts, MODELS[0])
    asked = {**ENDLESS, "max_tokens": 6000, "seed": 1}
    alone = swapped.post("/generate", **asked)
    with swapped.client.stream("POST", "/generate", json={**asked, "stream": True}) as stream:
        lines = stream.iter_lines()
        first = next(lines)
        swap(swapped, artifacts, MODELS[1])
        page = swapped.health()["workers"][0]
        assert (page["finishing"], page["rows"]) == ([MODELS[0]], 1)
        assert swapped.post("/score", texts=["Cold."])["model"] == MODELS[1]
        events = [json.loads(line[6:]) for line in [first, *lines] if line and line != "data: [DONE]"]
    assert events[-1]["model"] == MODELS[0]
    assert "".join(event.get("text", "") for event in events) == alone["reviews"][0]["text"]
    eventually(lambda: swapped.health()["workers"][0]["finishing"] == [])


def test_all_pages_name_the_model_that_answers(swapped: Server, artifacts: Artifacts) -> None:
    for name in MODELS:
        swap(swapped, artifacts, name)
        assert swapped.client.get("/model").json()["model"] == name
        assert [each["id"] for each in swapped.client.get("/v1/models").json()["data"]] == [name]
        page = swapped.client.get("/openapi.json").json()
        assert page["info"]["version"] == name
        assert page["components"]["schemas"]["CompletionRequest"]["properties"]["model"]["const"] == name
        asked = {"model": name, "prompt": "The", "max_tokens": 2}
        assert swapped.post("/v1/completions", **asked)["model"] == name


def test_a_damaged_artifact_is_refused_and_the_old_one_stays(swapped: Server, artifacts: Artifacts) -> None:
    swap(swapped, artifacts, MODELS[0])
    before = answers_of(swapped)
    assert swapped.health()["refused"] is None
    artifacts.show("damaged")
    swapped.process.send_signal(signal.SIGHUP)
    refused = eventually(lambda: swapped.health()["refused"])
    assert "is damaged or was changed" in refused
    assert (swapped.health()["status"], swapped.health()["model"]) == ("ok", MODELS[0])
    assert answers_of(swapped) == before
    assert swapped.output.count("the new artifact is refused, and tiny-1 answers on") == 1
    swap(swapped, artifacts, MODELS[1])
    assert swapped.health()["refused"] is None
    assert "Traceback" not in swapped.output


def test_nothing_is_left_of_the_former_model(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.show(MODELS[0])
    settings = Settings(model_directory=artifacts.link, database_url=f"sqlite:///{tmp_path}/log.sqlite3")
    serving = Serving(settings, load_artifact(settings), RequestLog(settings), Telemetry(), None)

    async def swap_once() -> list["weakref.ref[object]"]:
        await serving.start()
        model, engine = serving.service.model, serving.service.engine
        left: list[weakref.ref[object]] = [weakref.ref(each) for each in (model, model.states, model.calls, engine)]
        del model, engine
        artifacts.show(MODELS[1])
        release = asyncio.Event()
        request = asyncio.create_task(release.wait())
        await serving.swap(lambda: {request})  # type: ignore[arg-type]
        assert [service.name for service in serving.services] == [*MODELS[::-1]]
        release.set()
        while len(serving.services) > 1:
            await asyncio.sleep(0.01)
        await serving.close()
        return left

    assert [each() for each in asyncio.run(swap_once())] == [None] * 4
    assert "engine" not in [thread.name for thread in threading.enumerate()]
