"""A client that costs little, for many requests at once: plain sockets, and no more of HTTP than the service speaks."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.servers import Server

EVENT = b"data: "


@dataclass(slots=True)
class Answer:
    """What came back, and when, in seconds from the request on."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    first_event: float | None = None
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The server-sent events, without the closing `[DONE]`."""
        lines = [line for line in self.body.split(b"\n") if line.startswith(EVENT)]
        return [json.loads(line.removeprefix(EVENT)) for line in lines if b"[DONE]" not in line]


async def post(server: Server, path: str, body: Any) -> Answer:
    """Sends a request on a connection of its own and reads all of the answer."""
    return await _answer(server, request_bytes(path, body))


async def get(server: Server, path: str) -> Answer:
    return await _answer(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())


async def metrics_page(server: Server) -> str:
    """What GET /metrics answers, for `metric_in`."""
    return (await get(server, "/metrics")).body.decode()


async def _answer(server: Server, request: bytes) -> Answer:
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**22)
    try:
        writer.write(request)
        answer = await read_head(reader)
        pieces = []
        while piece := await reader.read(2**16):
            if answer.first_event is None and EVENT in piece:
                answer.first_event = time.perf_counter() - started
            pieces.append(piece)
    finally:
        writer.close()
    whole = b"".join(pieces)
    answer.body = _dechunked(whole) if answer.headers.get("transfer-encoding") == "chunked" else whole
    answer.seconds = time.perf_counter() - started
    return answer


def request_bytes(path: str, body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def read_head(reader: asyncio.StreamReader) -> Answer:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return Answer(int(status.split(" ")[1]), headers)


def _dechunked(body: bytes) -> bytes:
    pieces = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        count = int(size, 16)
        pieces.append(rest[:count])
        body = rest[count + 2 :]
    return b"".join(pieces)
