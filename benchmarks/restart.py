"""Two services write to one PostgreSQL, which fails in the middle: is every answered request in it once?"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from benchmarks.postgres import Postgres, rows_of
from benchmarks.serve.client import read_head
from benchmarks.servers import Server, serving

CLIENTS = 8
"""Of each service."""
BODY = json.dumps({"text": "The food was", "k": 1}).encode()


@dataclass
class Restart:
    """What the log had in the end, compared with the answers that clients got."""

    answered: int
    while_away: int
    """Answers while PostgreSQL was not there."""
    away_seconds: float
    missing: int
    doubled: int
    strangers: int
    """Rows that no client knows."""
    dropped: int
    """Rows that the services themselves count as lost."""
    answers_per_second: float


def restarted(server: Postgres, requests: int, **settings: str) -> Restart:
    """Has `requests` requests answered, cuts PostgreSQL off in the middle of them and starts it again."""
    url = server.create(uuid4().hex)
    with serving(database=url, **settings) as one, serving(database=url, **settings) as other:
        load = _Load([one, other], requests)
        asyncio.run(load.run(server))
        dropped = sum(service.metric("log_dropped_rows_total") for service in (one, other))
    # The services have ended, and so written all that they had.
    rows = Counter(str(request_id) for (request_id,) in rows_of(url, "SELECT request_id FROM requests"))
    return Restart(
        answered=len(load.answered),
        while_away=load.while_away,
        away_seconds=round(load.away_seconds, 2),
        missing=len(load.answered - rows.keys()),
        doubled=sum(count > 1 for count in rows.values()),
        strangers=len(rows.keys() - load.answered),
        dropped=int(dropped),
        answers_per_second=round(len(load.answered) / load.seconds, 1),
    )


class _Load:
    def __init__(self, services: list[Server], requests: int) -> None:
        self._services, self._requests = services, requests
        self._numbers = iter(range(requests))
        self.answered: set[str] = set()
        self.while_away = 0
        self.away_seconds = self.seconds = 0.0
        self._most = 0.7 * requests
        """Requests that may begin, so that some are left for when PostgreSQL is away, and for when it is back."""

    async def run(self, server: Postgres) -> None:
        began = time.monotonic()
        clients = [self._client(service) for service in self._services for _ in range(CLIENTS)]
        await asyncio.gather(self._restart(server), *clients)
        self.seconds = time.monotonic() - began

    async def _restart(self, server: Postgres) -> None:
        while len(self.answered) < self._requests / 2:
            await asyncio.sleep(0.001)
        began = time.monotonic()
        await asyncio.to_thread(server.stop)
        before, self._most = len(self.answered), 0.95 * self._requests
        await asyncio.to_thread(server.start)
        self.while_away, self._most = len(self.answered) - before, self._requests
        self.away_seconds = time.monotonic() - began

    async def _client(self, service: Server) -> None:
        async with _connection(service) as (reader, writer):
            for number in self._numbers:
                while number >= self._most:
                    await asyncio.sleep(0.001)
                request_id = f"request-{number}"
                writer.write(_request(request_id))
                answer = await read_head(reader)
                await reader.readexactly(int(answer.headers["content-length"]))
                assert (answer.status, answer.headers["x-request-id"]) == (200, request_id), answer
                self.answered.add(request_id)


@asynccontextmanager
async def _connection(service: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def _request(request_id: str) -> bytes:
    head = f"POST /next-word HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {request_id}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY
