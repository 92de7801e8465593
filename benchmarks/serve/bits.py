"""The same seed and text give the same bits: alone and in a crowd, with the cache and without, streamed or not."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.serve.client import post
from benchmarks.serve.traffic import made_up_texts, typed
from benchmarks.servers import SERVICE, Server, serving

COUNT = 200
CROWD = 16
AT_ONCE = 32

Results = list[Any]


def bits() -> dict[str, Any]:
    """200 generations and 200 scorings, each in five ways; counts those that are equal in all of them."""
    with serving(max_waiting_reviews="1000") as service:  # so that none of the crowd is refused
        texts = made_up_texts(service, COUNT, 60)
        generations, scorings = _generations(texts), _scorings(texts)
        alone = asyncio.run(_alone(service, generations, scorings))
        crowded = asyncio.run(_crowded(service, generations, scorings, texts))
        streamed = asyncio.run(_streamed(service, generations, texts))
    with serving(SERVICE, cache_bytes="0", max_waiting_reviews="1000") as other_process:
        uncached = asyncio.run(_alone(other_process, generations, scorings))
        uncached_crowded = asyncio.run(_crowded(other_process, generations, scorings, texts))
    ways = [crowded, uncached, uncached_crowded]
    return {
        "generations": COUNT,
        "equal in all ways": sum(
            all(way[0][place] == result for way in ways) and streamed[place] == _told(result)
            for place, result in enumerate(alone[0])
        ),
        "scorings": COUNT,
        "equal in all": sum(all(way[1][place] == result for way in ways) for place, result in enumerate(alone[1])),
    }


def _generations(texts: list[str]) -> list[dict[str, Any]]:
    """Prompts and settings of all kinds."""
    chance = random.Random(2)
    return [
        {
            "prompt": " ".join(text.split(" ")[: chance.randint(0, 40)]),
            "seed": chance.randrange(2**31),
            "n": chance.choice([1, 1, 3]),
            "max_tokens": chance.randint(20, 120),
            "stars": chance.choice([None, 1, 5]),
            "temperature": chance.choice([0.0, 0.8, 1.2]),
            "top_k": chance.choice([0, 0, 40]),
            "top_p": chance.choice([0.95, 0.7, 1.0]),
            "repetition_penalty": chance.choice([1.0, 1.2]),
        }
        for text in texts
    ]


def _scorings(texts: list[str]) -> list[dict[str, Any]]:
    return [{"texts": [text, text[: len(text) // 3]], "tokens": True} for text in texts]


async def _result(service: Server, path: str, body: dict[str, Any]) -> Any:
    answer = await post(service, path, body)
    assert answer.status == 200, answer.body
    return answer.json


async def _alone(service: Server, generations: Results, scorings: Results) -> tuple[Results, Results]:
    return (
        [await _result(service, "/generate", body) for body in generations],
        [await _result(service, "/score", body) for body in scorings],
    )


async def _crowded(
    service: Server, generations: Results, scorings: Results, texts: list[str]
) -> tuple[Results, Results]:
    async with _crowd(service, texts):
        written = await _many(service, "/generate", generations)
        return written, await _many(service, "/score", scorings)


async def _many(service: Server, path: str, bodies: list[dict[str, Any]]) -> Results:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(body: dict[str, Any]) -> Any:
        async with free:
            return await _result(service, path, body)

    return await asyncio.gather(*map(one, bodies))


async def _streamed(service: Server, generations: Results, texts: list[str]) -> list[list[dict[str, Any]]]:
    """What the events of each stream come to, as `_told` has it."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(body: dict[str, Any]) -> list[dict[str, Any]]:
        async with free:
            answer = await post(service, "/generate", {**body, "stream": True})
        reviews: list[dict[str, Any]] = [{"text": ""} for _ in range(body["n"])]
        for event in answer.events[:-1]:
            review = reviews[event.pop("index")]
            review["text"] += event.pop("text", "")
            review.update(event)
        return reviews

    async with _crowd(service, texts):
        return await asyncio.gather(*map(one, generations))


def _told(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What a stream tells of each review."""
    return [{name: review[name] for name in ("text", "finish_reason")} for review in result["reviews"]]


@contextlib.asynccontextmanager
async def _crowd(service: Server, texts: list[str]) -> AsyncIterator[None]:
    """Mixed traffic for as long as the block runs."""

    async def member(number: int) -> None:
        chance = random.Random(number)
        while True:
            text = chance.choice(texts)
            for request in [*typed(text)][:20]:
                await post(service, "/next-word", request)
            await post(
                service, "/generate", {"prompt": text[:50], "n": 4, "max_tokens": 30, "stream": bool(number % 2)}
            )
            await post(service, "/score", {"texts": [text] * 4})

    members = [asyncio.create_task(member(number)) for number in range(CROWD)]
    try:
        yield
    finally:
        for task in members:
            task.cancel()
        await asyncio.gather(*members, return_exceptions=True)
