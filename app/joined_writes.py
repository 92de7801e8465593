"""What a connection is told in a turn of the event loop leaves together, when all others have been told theirs, too.

The head and the body of an answer are one call of the kernel and one packet. And such calls follow one another: each
wakes whoever is to read it, on a core that has better to do than to be woken for every answer by itself.
"""

from asyncio import AbstractEventLoop, Transport
from typing import Any

MOST_BYTES = 16_384
"""What is longer leaves at once, so that the transport knows of it and can ask for a pause."""


class JoinedWrites:
    """A transport that keeps what is written until the next turn of the event loop."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._kept = b""
        self.is_closing = transport.is_closing  # which is asked at each answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._kept:
            self._loop.call_soon(self._send)
        self._kept += data
        if len(self._kept) > MOST_BYTES:
            self._send()

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        kept, self._kept = self._kept, b""
        if kept and not self._transport.is_closing():
            self._transport.write(kept)
