"""Requests that begin at a steady rate, whether those before them were answered or not."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

Ask = Callable[[], Awaitable[None]]
"""Makes one request."""


async def paced(ask: Ask, rate: float, seconds: float) -> None:
    """Begins `rate` requests a second for so long, and waits for the last of them."""
    begin = time.perf_counter()
    running = set()
    for number in itertools.count():
        due = begin + number / rate
        if due > begin + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        running.add(task := asyncio.ensure_future(ask()))
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def saturating(ask: Ask, at_once: int, seconds: float) -> None:
    """Has so many requests under way at all times; returns when those that were begun in time are answered."""
    end = time.perf_counter() + seconds

    async def one_after_the_other() -> None:
        while time.perf_counter() < end:
            await ask()

    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
