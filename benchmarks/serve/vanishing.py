"""Clients that vanish in the middle of a stream: whether their rows and memory come back, and what others notice."""

import asyncio
import time
from typing import Any

from benchmarks.serve.client import post, read_head, request_bytes
from benchmarks.servers import Server, serving

CLIENTS = 1000
AT_ONCE = 50
STEADY = {"prompt": "The", "seed": 3, "max_tokens": 100}
BACK_SECONDS = 5.0


def vanishing() -> dict[str, Any]:
    """1 000 clients that read two events of a stream and close their connection, beside one that reads to the end."""
    # So that none is refused for those who left just now.
    with serving(max_waiting_rows="1000", max_waiting_tokens="10000000", max_waiting_reviews="1000") as service:
        expected = asyncio.run(post(service, "/generate", STEADY)).json
        asyncio.run(_vanish_all(service, 2 * AT_ONCE))  # warm-up
        rows, memory = service.metric("admitted_rows"), service.resident_bytes
        beside, equal = asyncio.run(_beside_a_steady_client(service, expected))
        give_up = time.monotonic() + BACK_SECONDS
        while service.metric("admitted_rows") > rows and time.monotonic() < give_up:
            time.sleep(0.01)
        back = time.monotonic() - (give_up - BACK_SECONDS)
        return {
            "clients": CLIENTS,
            "rows before and after": [rows, service.metric("admitted_rows")],
            "seconds until they were back": back,
            "memory grown by, MB": (service.resident_bytes - memory) / 1e6,
            "answers to the steady client meanwhile": beside,
            "of these with the expected text": equal,
        }


async def _beside_a_steady_client(service: Server, expected: Any) -> tuple[int, int]:
    vanishing = asyncio.create_task(_vanish_all(service, CLIENTS))
    answered = equal = 0
    while not vanishing.done():
        answer = await post(service, "/generate", STEADY)
        answered += 1
        equal += answer.status == 200 and answer.json["reviews"] == expected["reviews"]
    await vanishing
    return answered, equal


async def _vanish_all(service: Server, count: int) -> None:
    free = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with free:
            await _vanish(service)

    await asyncio.gather(*(one() for _ in range(count)))


async def _vanish(service: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(request_bytes("/generate", {"stream": True, "n": 4, "max_tokens": 1000}))
    answer = await read_head(reader)
    assert answer.status == 200
    for _ in range(2):
        await reader.readuntil(b"\n\n")
    writer.transport.abort()  # a reset, as of a client that died
