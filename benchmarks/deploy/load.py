"""Clients that ask without a pause while replicas go away, try once again where a connection breaks, and count."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

CLIENTS = 12
LONGEST_SECONDS = 400
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/next-word", {"text": "The food was"}),
    ("/next-word", {"text": "The food was good and the "}),
    ("/score", {"texts": ["I loved it.", "Never again."]}),
    ("/generate", {"prompt": "The", "max_tokens": 60, "seed": 7, "stars": 4, "stream": True}),
    ("/generate", {"prompt": "We", "max_tokens": 20, "seed": 8}),
]


@dataclass
class Counts:
    """What the clients saw. `answered` holds the wrong answers, too; `failed` what had none after a second try."""

    answered: int = 0
    retried: int = 0
    failed: int = 0
    wrong: int = 0
    slowest_seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)


class Load:
    """Runs from `running` on; any number of times, `wait_for` so many more answers."""

    def __init__(self, url: str, key: str) -> None:
        self.counts, self._lock = Counts(), threading.Lock()
        self._url, self._key = url, key
        self._ended = threading.Event()
        with self._client() as client:
            self._expected = [essence(_ask(client, *request)) for request in REQUESTS]

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(CLIENTS) as threads:
            clients: list[Future[None]] = [threads.submit(self._ask_on, number) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._ended.set()
            for client in clients:
                client.result()

    def wait_for(self, answers: int) -> None:
        """Raises RuntimeError if they take too long."""
        enough, give_up = self.counts.answered + answers, time.monotonic() + LONGEST_SECONDS
        while self.counts.answered < enough:
            if time.monotonic() > give_up or self._ended.is_set():
                raise RuntimeError(f"the answers ceased: {self.counts}")
            time.sleep(0.05)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, headers={"Authorization": f"Bearer {self._key}"}, timeout=60)

    def _ask_on(self, number: int) -> None:
        with self._client() as client:
            for which in itertools.islice(itertools.cycle(range(len(REQUESTS))), number, None):
                if self._ended.is_set():
                    return
                self._ask_once_or_twice(client, which)

    def _ask_once_or_twice(self, client: httpx.Client, which: int) -> None:
        started, broken = time.monotonic(), 0
        for _ in range(2):
            try:
                answer = essence(_ask(client, *REQUESTS[which]))
            except httpx.TransportError as error:
                broken += 1
                self._note(reason=type(error).__name__)
            except httpx.HTTPStatusError as error:
                return self._note(failed=1, retried=broken, reason=f"{error.response.status_code}")
            else:
                return self._note(
                    answered=1,
                    retried=broken,
                    wrong=answer != self._expected[which],
                    seconds=time.monotonic() - started,
                )
        return self._note(failed=1, retried=1)

    def _note(self, seconds: float = 0.0, reason: str = "", **counted: int) -> None:
        with self._lock:
            for name, count in counted.items():
                setattr(self.counts, name, getattr(self.counts, name) + count)
            self.counts.slowest_seconds = max(self.counts.slowest_seconds, round(seconds, 2))
            if reason:
                self.counts.reasons[reason] = self.counts.reasons.get(reason, 0) + 1


def _ask(client: httpx.Client, path: str, body: dict[str, Any]) -> str:
    """The answer's whole body; raises httpx.TransportError if the connection breaks, HTTPStatusError on a refusal."""
    answer = client.post(path, json=body)
    answer.raise_for_status()
    return answer.text


def essence(body: str) -> Any:
    """What has to be the same whichever replica answers: all but what its cache spared it, and how a stream was cut."""
    if body.startswith("{"):
        answer = json.loads(body)
        answer.get("usage", {}).pop("cached_tokens", None)
        return answer
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(event.get("text", "") for event in events), "error" in body, lines[-1]
