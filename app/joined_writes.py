"""What connections are told in a turn of the event loop leaves together, so much of it as two milliseconds make.

The head and the body of an answer are one call of the kernel and one packet. And such calls follow one another: each
wakes whoever is to read it, on a core that has better to do than to be woken for every answer by itself.
"""

import time
from asyncio import Transport, get_running_loop
from typing import Any

MOST_BYTES = 16_384
"""What is longer leaves at once, so that the transport knows of it and can ask for a pause."""
MOST_SECONDS = 0.002
"""How long an answer waits for others of its turn: the first of many do not wait for the last."""


class Turn:
    """Who was told something in this turn of an event loop; all its connections share it."""

    def __init__(self) -> None:
        self._told: list[JoinedWrites] = []
        self._began = 0.0
        self._ends = False

    def join(self, transport: "JoinedWrites") -> None:
        """Has it send what it keeps at the end of the turn, or when another is told something much later."""
        now = time.monotonic()
        if self._told and now - self._began > MOST_SECONDS:
            self._send()
        if not self._told:
            self._began = now
        self._told.append(transport)
        if not self._ends:
            self._ends = True
            get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._ends = False
        self._send()

    def _send(self) -> None:
        told, self._told = self._told, []
        for transport in told:
            try:
                transport.send()
            except Exception as error:  # one must not take the others' answers along
                get_running_loop().call_exception_handler({"message": "an answer was not sent", "exception": error})


class JoinedWrites:
    """A transport that keeps what is written until the next turn of the event loop; in a long turn for MOST_SECONDS."""

    def __init__(self, transport: Transport, turn: Turn) -> None:
        self._transport, self._turn = transport, turn
        self._kept = b""
        self.is_closing = transport.is_closing  # which is asked at each answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._kept:
            self._turn.join(self)
        self._kept += data
        if len(self._kept) > MOST_BYTES:
            self.send()

    def write_eof(self) -> None:
        self.send()
        self._transport.write_eof()

    def close(self) -> None:
        self.send()
        self._transport.close()

    def send(self) -> None:
        """Sends what is kept; nothing where the connection was cut meanwhile."""
        kept, self._kept = self._kept, b""
        if kept and not self._transport.is_closing():
            self._transport.write(kept)
