"""Asks one service for a long time, and notes each answer and how much memory the service has."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.serve.client import Answer, get, metrics_page, post
from benchmarks.serve.load import paced, saturating
from benchmarks.servers import Server, metric_in
from benchmarks.soak.mixture import Request

AT_ONCE = 32
"""Requests that are always under way while capacity is measured."""
SAMPLES = 30
"""Looks at the memory in a minute."""


class Asked(NamedTuple):
    """A request: `begun` after so many seconds of the run, and answered after so many; status 0 without an answer."""

    begun: float
    seconds: float
    path: str
    status: int
    whole: bool
    request_id: str

    @property
    def failed(self) -> bool:
        return self.status != 200 or not self.whole


class Sample(NamedTuple):
    """The memory of the service at a moment of the run, and what of it keeps states after texts seen before."""

    seconds: float
    resident_bytes: int
    cache_bytes: float


@dataclass
class Asking:
    service: Server
    requests: Iterator[Request]
    began: float = field(default_factory=time.perf_counter)
    asked: list[Asked] = field(default_factory=list)
    memory: list[Sample] = field(default_factory=list)

    async def capacity(self, seconds: float) -> float:
        """Requests that are answered in a second when there is always more to do; a third of the time is warm-up."""
        await saturating(self._ask, AT_ONCE, seconds / 3)
        before, started = len(self.asked), time.perf_counter()
        await saturating(self._ask, AT_ONCE, 2 * seconds / 3)
        return (len(self.asked) - before) / (time.perf_counter() - started)

    async def run(self, rate: float, minutes: int, minute: float) -> None:
        """Begins `rate` requests a second, for so many minutes of `minute` seconds from now on."""
        self.began = time.perf_counter()
        watching = asyncio.create_task(self._watch_memory(minute / SAMPLES))
        await paced(self._ask, rate, minutes * minute)
        watching.cancel()

    async def _ask(self) -> None:
        path, body = next(self.requests)
        begun = time.perf_counter()
        try:
            answer = await (get(self.service, path) if body is None else post(self.service, path, body))
        except (OSError, EOFError):
            answer = Answer()
        seconds, request_id = time.perf_counter() - begun, answer.headers.get("x-request-id", "")
        self.asked.append(Asked(begun - self.began, seconds, path, answer.status, _is_whole(answer), request_id))

    async def _watch_memory(self, every: float) -> None:
        while True:
            cache = metric_in(await metrics_page(self.service), "state_cache_bytes")
            self.memory.append(Sample(time.perf_counter() - self.began, self.service.resident_bytes, cache))
            await asyncio.sleep(every)


def _is_whole(answer: Answer) -> bool:
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        return len(answer.body) == int(answer.headers.get("content-length", -1))
    return answer.body.endswith(b"data: [DONE]\n\n") and not any("error" in event for event in answer.events)
