"""Faults on purpose: a model that fails on one token, and more clients than the system has files for."""

import resource
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.direct_route import DirectRoute
from app.language_model import Vocabulary, load_language_model
from app.main import create_app
from app.service import Client
from app.settings import Settings
from tests.app.random_artifact import write_random_artifact
from tests.app.raw_http import connect
from tests.app.support import Server, eventually, running_server
from tests.app.test_service import MODEL_ROUTES, assert_problem
from training.export import DESCRIPTION_FILE, MODEL_FILE, write_sums


def damage(directory: Path) -> None:
    """Takes the last token's embedding out of an artifact, so that every call that reads this token raises."""
    extra = {DESCRIPTION_FILE: ""}
    module = torch.jit.load(str(directory / MODEL_FILE), _extra_files=extra)
    module.inputs = module.inputs[:-1].clone()
    torch.jit.save(module, str(directory / MODEL_FILE), _extra_files=extra)
    write_sums(directory)


def text_of_the_last_token(vocabulary: Vocabulary) -> str:
    token = vocabulary.size - 1
    text = vocabulary.token_bytes[token].decode()
    assert token in vocabulary.encode(text), text
    return text


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A service whose model fails, and a text that it fails on."""
    directory = tmp_path_factory.mktemp("damaged")
    write_random_artifact(directory)
    damage(directory)
    text = text_of_the_last_token(load_language_model(directory).vocabulary)
    with running_server(directory, REVIEW_LM_MODEL_DIRECTORY=str(directory)) as server:
        yield server, text


def test_a_model_that_fails_on_a_text_fails_that_request_alone(damaged: tuple[Server, str]) -> None:
    server, text = damaged
    before = answers(server)
    asked: dict[str, dict[str, Any]] = {
        "/next-word": {"text": f"{text} "},
        "/generate": {"prompt": f"{text} "},
        "/score": {"texts": ["a", text]},
    }
    for path, body in asked.items():
        problem = assert_problem(server.client.post(path, json=body), 500, "internal-error")
        assert "index" not in problem["detail"]  # what failed inside is for the server's output
    stream = server.client.post("/generate", json={**asked["/generate"], "stream": True})
    assert '"type": "/problems/internal-error"' in stream.text
    assert stream.text.endswith("data: [DONE]\n\n")
    assert answers(server) == before
    assert (server.health()["status"], server.health()["rows"]) == ("ok", 0)
    assert "a model call failed" in server.output


def answers(server: Server) -> list[dict[str, Any]]:
    """What each route makes of a text that is no trouble, but for how much of it was cached."""
    found = []
    for path, body in MODEL_ROUTES.items():
        seeded = {"seed": 1, "temperature": 0} if path == "/generate" else {}
        found.append({**server.post(path, **body, **seeded), "usage": None})
    return found


@contextmanager
def answering(app: FastAPI) -> Iterator[str]:
    """Has an app answer on a port of its own, in a thread; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("route_class", [APIRoute, DirectRoute])
def test_a_route_that_fails_says_where_to_look(
    tmp_path: Path, random_artifact: Path, caplog: pytest.LogCaptureFixture, route_class: type[APIRoute]
) -> None:
    class Anything(BaseModel):
        pass

    async def faulty(request: Anything, client: Client) -> None:
        raise RuntimeError("on purpose")

    database = tmp_path / "requests.sqlite3"
    app = create_app(Settings(model_directory=random_artifact, database_url=f"sqlite:///{database}"))
    app.router.routes.append(route_class("/faulty", faulty, methods=["POST"]))
    with answering(app) as address:
        answer = httpx.post(f"{address}/faulty", json={}, headers={"X-Request-ID": "r-1"})
        problem = assert_problem(answer, 500, "internal-error")
        assert problem["detail"] == "Something failed; look for r-1 in the server's output."
        assert answer.headers["X-Request-ID"] == "r-1"
    assert "request r-1 failed" in caplog.text
    assert "on purpose" in caplog.text
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT request_id, route, status FROM requests").fetchall() == [
            ("r-1", "/faulty", 500)
        ]


def test_more_connections_than_open_files(tmp_path: Path, random_artifact: Path) -> None:
    with running_server(tmp_path, REVIEW_LM_MODEL_DIRECTORY=str(random_artifact)) as server:
        before = server.post("/score", texts=["The soup was cold."])
        server.client.close()
        process = psutil.Process(server.process.pid)
        room = process.num_fds() + 10
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (room, room))
        with ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(closing(connect(server.port)))
            eventually(lambda: process.num_fds() >= room - 1)
        eventually(lambda: process.num_fds() < room - 5)
        with httpx.Client(base_url=server.client.base_url, timeout=60) as client:
            assert client.post("/score", json={"texts": ["The soup was cold."]}).json() == before
            assert client.get("/health").json()["status"] == "ok"
        assert len(server.output) < 20_000  # one line for each failed attempt to accept would be thousands
