"""The head of an answer leaves with its body: one packet for the client, and one call of the kernel less."""

from asyncio import AbstractEventLoop, Transport
from typing import Any

HEAD = b"HTTP/"


class JoinedWrites:
    """A transport that keeps the head of an answer until its body follows, for one turn of the event loop at most.

    uvicorn writes the two one after the other; a stream that has nothing to say yet sends its head alone.
    """

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data.startswith(HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
        else:
            self._transport.write(data)

    def write_eof(self) -> None:
        self._send_head()
        self._transport.write_eof()

    def close(self) -> None:
        self._send_head()
        self._transport.close()

    def _send_head(self) -> None:
        if self._head and not self._transport.is_closing():
            self.write(b"")
