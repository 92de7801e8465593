"""How the workers of one service know of each other: each tells whoever asks it, on a socket in their folder."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 1.0
"""How long a worker has for telling how it is; one whose process has ended is known of at once."""
READY = signal.SIGUSR1
"""What a worker sends the process that started it, once it answers requests."""
REFUSED = "refused"
"""The file that has why the last artifact was refused, where it was before any worker saw it."""


class Peers:
    """The worker `number` of `count`; `started` is when the service was, by the monotonic clock."""

    def __init__(self, folder: Path, number: int, count: int, started: float) -> None:
        self.folder, self.number, self.count, self.started = folder, number, count, started
        self._parent = os.getppid()
        self._server: asyncio.Server | None = None

    async def listen(self, tell: Callable[[], str]) -> None:
        """Has the others be answered by `tell`, and the parent know that this worker is ready."""

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(tell().encode())
            writer.close()

        self._server = await asyncio.start_unix_server(answer, self._socket(self.number))
        if os.getppid() == self._parent:
            os.kill(self._parent, READY)

    def close(self) -> None:
        if self._server:
            self._server.close()

    async def others(self) -> list[str]:
        """What all others tell that are there."""
        told = await asyncio.gather(*(self._ask(number) for number in range(self.count) if number != self.number))
        return [each for each in told if each]

    async def _ask(self, number: int) -> str | None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._socket(number))
                try:
                    return (await reader.read()).decode()
                finally:
                    writer.close()
        return None

    def _socket(self, number: int) -> Path:
        return self.folder / f"{number}.socket"

    def refused(self) -> str | None:
        """Why the last artifact was refused for all workers; None if it was not."""
        try:
            return (self.folder / REFUSED).read_text()
        except FileNotFoundError:
            return None
