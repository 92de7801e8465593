"""A keystroke among heavy work: 32 generations and a scoring job of 64 texts of 1 000 characters."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Protocol

from benchmarks.serve.client import Answer, post
from benchmarks.serve.traffic import made_up_texts, typed
from benchmarks.servers import Server, serving

GENERATIONS = 32
TEXTS, CHARACTERS = 64, 1000
KEYSTROKES = 1000


def fairness() -> dict[str, Any]:
    """The 99th percentile of /next-word alone, and beside heavy work that is begun anew as it ends."""
    with serving() as service:
        texts = made_up_texts(service, 20, 100)
        scored = [text[:CHARACTERS].ljust(CHARACTERS, ".") for text in made_up_texts(service, TEXTS, 250)]
        asyncio.run(_keystrokes(service, texts[:2]))  # warm-up
        idle = asyncio.run(_keystrokes(service, texts[2:12]))
        busy, heavy = asyncio.run(_beside_heavy_work(service, texts[12:], scored))
    return {
        "idle, ms": percentiles(idle),
        "busy, ms": percentiles(busy),
        "heavy requests answered meanwhile": heavy,
        "busy p99 by idle p99": percentiles(busy)["p99"] / percentiles(idle)["p99"],
    }


class Timed(Protocol):
    @property
    def seconds(self) -> float: ...


def percentiles(answers: Sequence[Timed]) -> dict[str, float]:
    """The median and the 99th percentile of the answers' times, in milliseconds."""
    ordered = sorted(1000 * answer.seconds for answer in answers)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[int(0.99 * len(ordered))]}


async def _keystrokes(service: Server, texts: list[str]) -> list[Answer]:
    requests = itertools.islice(itertools.chain.from_iterable(map(typed, itertools.cycle(texts))), KEYSTROKES)
    answers = [await post(service, "/next-word", request) for request in requests]
    assert all(answer.status == 200 for answer in answers)
    return answers


async def _beside_heavy_work(service: Server, texts: list[str], scored: list[str]) -> tuple[list[Answer], int]:
    answered = 0

    async def again_and_again(path: str, body: dict[str, Any]) -> None:
        nonlocal answered
        while True:
            answer = await post(service, path, body)
            assert answer.status == 200, answer.body
            answered += 1

    heavy = [
        asyncio.create_task(again_and_again("/generate", {"stream": True, "max_tokens": 1000}))
        for _ in range(GENERATIONS)
    ]
    heavy.append(asyncio.create_task(again_and_again("/score", {"texts": scored})))
    await asyncio.sleep(1)  # until all of them run
    try:
        return await _keystrokes(service, texts), answered
    finally:
        for task in heavy:
            task.cancel()
        await asyncio.gather(*heavy, return_exceptions=True)
