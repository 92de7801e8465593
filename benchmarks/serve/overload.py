"""Four times as much work as the service can do, for a minute: what is accepted, what refused, and what comes after."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.serve.client import Answer, post
from benchmarks.serve.fairness import percentiles
from benchmarks.serve.load import paced, saturating
from benchmarks.servers import Server, serving

REQUEST = {"max_tokens": 50, "temperature": 0.8, "prompt": "The food"}
SATURATING = 32
"""Requests at once that keep the service as busy as it gets."""
TIMES = 4
AFTER = 1.0
"""Seconds after which all must be as before."""


@dataclass
class _Load:
    service: Server
    answers: list[Answer] = field(default_factory=list)

    async def ask(self) -> None:
        self.answers.append(await post(self.service, "/generate", REQUEST))


def overload(seconds: float) -> dict[str, Any]:
    """Load at four times capacity; capacity is what the service answers when it always has 32 requests."""
    with serving() as service:
        asyncio.run(_saturated(service, 3))
        capacity = asyncio.run(_saturated(service, 5))
        unloaded, load = _Load(service), _Load(service)
        asyncio.run(paced(unloaded.ask, capacity / 10, 10))
        memory = service.resident_bytes
        asyncio.run(paced(load.ask, TIMES * capacity, seconds))
        time.sleep(AFTER)
        after = asyncio.run(_saturated(service, 5))
        growth = service.resident_bytes - memory
    accepted = [answer for answer in load.answers if answer.status == 200]
    refused = [answer for answer in load.answers if answer.status == 429]
    return {
        "capacity, requests/s": capacity,
        "sent, requests/s": len(load.answers) / seconds,
        "statuses": dict(Counter(answer.status for answer in load.answers)),
        "refused without Retry-After": sum("retry-after" not in answer.headers for answer in refused),
        "accepted, requests/s": len(accepted) / seconds,
        "unloaded, ms": percentiles(unloaded.answers),
        "accepted, ms": percentiles(accepted),
        "accepted p99 by unloaded p99": percentiles(accepted)["p99"] / percentiles(unloaded.answers)["p99"],
        "refused, ms": percentiles(refused),
        "memory grown by, MB": growth / 1e6,
        "throughput after by before": after / capacity,
    }


async def _saturated(service: Server, seconds: float) -> float:
    """Requests answered in a second while so many are always under way."""
    end = time.perf_counter() + seconds
    answered = 0

    async def ask() -> None:
        nonlocal answered
        answer = await post(service, "/generate", REQUEST)
        answered += answer.status == 200 and time.perf_counter() < end

    await saturating(ask, SATURATING, seconds)
    return answered / seconds
