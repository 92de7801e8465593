"""What several tests need: the shipped artifact, an engine to run tasks on, and the real server as a process."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from openai import AsyncOpenAI, OpenAI

from app.admission import Work
from app.calls import Task
from app.engine import Engine
from app.language_model import LanguageModel
from app.scoring import ScoredText, encode, score
from benchmarks.servers import ending

ROOT = Path(__file__).parents[2]
ARTIFACT = ROOT / "model"
API_KEY = "a-key-of-the-tests"
ENDLESS = {"prompt": "the the the the", "temperature": 0, "repetition_penalty": 0.1}
"""A generation that repeats itself for as long as `max_tokens` allows."""
Value = TypeVar("Value")


def eventually(condition: Callable[[], Value | None], seconds: float = 60.0) -> Value:
    """Returns the first truthy value of `condition`; fails if none comes in time."""
    give_up = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < give_up, "what was waited for did not happen"
        time.sleep(0.01)
    return value


def run_together(model: LanguageModel, tasks: Sequence[Task[Value]]) -> list[Value]:
    """The results of tasks that an engine of their own runs at the same time."""

    async def together() -> list[Value]:
        engine = Engine(model, Work(100_000, 10_000_000, 100_000), deadline_seconds=600)
        engine.start()
        try:
            finished = await asyncio.gather(*(engine.submit(task) for task in tasks))
        finally:
            engine.close()
        return [result for result, _ in finished]

    return asyncio.run(together())


def run_alone(model: LanguageModel, task: Task[Value]) -> Value:
    return run_together(model, [task])[0]


def score_all(model: LanguageModel, texts: Sequence[str], stars: int | None, ranks: bool) -> Task[list[ScoredText]]:
    return score(model, encode(model, texts), stars, ranks)


def service_process(directory: Path, **variables: str) -> "subprocess.Popen[bytes]":
    """Starts `python -m app` on a free port with its log in `directory`, and what it prints in `directory/output`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("REVIEW_LM_")}
    settings = {"REVIEW_LM_PORT": "0", "DATABASE_URL": f"sqlite:///{directory}/requests.sqlite3", **variables}
    with (directory / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "app"], cwd=ROOT, env=inherited | settings, stdout=output, stderr=output
        )


class Server:
    """The real service in a process of its own."""

    def __init__(self, directory: Path, process: "subprocess.Popen[bytes]") -> None:
        self._directory, self.process = directory, process
        self.database = directory / "requests.sqlite3"
        self.port = int(eventually(self._announced)[1])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def _announced(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.output
        return re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.output)

    @property
    def output(self) -> str:
        return (self._directory / "output").read_text()

    def openai(self, key: str = API_KEY) -> OpenAI:
        """OpenAI's client of this service; it does not try again by itself."""
        return OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, max_retries=0, timeout=120)

    def async_openai(self, key: str = API_KEY) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, max_retries=0, timeout=120)

    def health(self) -> dict[str, Any]:
        page: dict[str, Any] = self.client.get("/health").json()
        return page

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a request that must succeed."""
        response = self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def log_rows(self, where: str = "1", *values: object) -> list[sqlite3.Row]:
        connection = sqlite3.connect(self.database)
        try:
            connection.row_factory = sqlite3.Row
            return connection.execute(f"SELECT * FROM requests WHERE {where} ORDER BY id", values).fetchall()
        finally:
            connection.close()

    def logged(self, request_id: str) -> sqlite3.Row:
        """The row of a request, as soon as it is written."""
        return eventually(lambda: self.log_rows("request_id = ?", request_id))[0]


@contextmanager
def running_server(directory: Path, **variables: str) -> Iterator[Server]:
    process = service_process(directory, **variables)
    with ending(process):
        server = Server(directory, process)
        with server.client:
            yield server
