"""What tests of several models share: a link to one of two artifacts, and clients that ask without a pause."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.app.random_artifact import write_random_artifact
from tests.app.support import Server, eventually

ASKED: dict[str, dict[str, Any]] = {
    "/score": {"texts": ["The soup was cold.", "We waited for an hour."]},
    "/generate": {"prompt": "The", "seed": 5, "max_tokens": 12},
    "/next-word": {"text": "The food was", "k": 3},
}
MODELS = ("tiny-1", "tiny-2")


class Artifacts:
    """`link` leads to one of two artifacts, of models that differ in all they say, or to a damaged one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.link = folder, folder / "model"
        for seed, name in enumerate(MODELS, 1):
            (folder / name).mkdir()
            write_random_artifact(folder / name, seed)
        (folder / "damaged").mkdir()
        for file in (folder / MODELS[1]).iterdir():
            (folder / "damaged" / file.name).write_bytes(file.read_bytes()[:5000])
        self.show(MODELS[0])

    def show(self, name: str) -> None:
        """Lets the link lead there, in one step."""
        following = self._folder / "following"
        following.symlink_to(self._folder / name)
        following.replace(self.link)


def substance(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what depends on what was asked before."""
    return {name: value for name, value in answer.items() if name not in {"usage", "id", "created"}}


def answers_of(server: Server) -> dict[str, dict[str, Any]]:
    return {path: substance(server.post(path, **body)) for path, body in ASKED.items()}


@dataclass
class Asking:
    """What clients got: request ids with status and body, and how many requests ended without an answer."""

    answers: dict[str, tuple[str, int, Any]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def wait_for(self, answers: int) -> None:
        """Waits for so many more."""
        enough = len(self.answers) + answers
        eventually(lambda: len(self.answers) >= enough)


@contextmanager
def clients(server: Server, count: int, name: str) -> Iterator[Asking]:
    """So many clients, each on a connection that it keeps, ask for as long as the block runs."""
    asking, stop = Asking(), threading.Event()

    def ask(client: httpx.Client, number: int) -> None:
        place = 0
        while not stop.is_set():
            for path, body in ASKED.items():
                request_id, place = f"{name}-{number}-{place}", place + 1
                try:
                    answer = client.post(path, json=body, headers={"X-Request-ID": request_id})
                except httpx.TransportError:
                    asking.broken.append(request_id)
                else:
                    asking.answers[request_id] = path, answer.status_code, answer.json()

    with ThreadPoolExecutor(count) as threads:
        opened = [httpx.Client(base_url=server.client.base_url, timeout=60) for _ in range(count)]
        running = [threads.submit(ask, client, number) for number, client in enumerate(opened)]
        try:
            yield asking
        finally:
            stop.set()
            for each in running:
                each.result()
            for client in opened:
                client.close()
