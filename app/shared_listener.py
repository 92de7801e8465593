"""Accepting from a socket that several workers share: whoever has more to do lets the others be first."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

TOKENS = 1000
"""Of work that is there, for each of which a worker waits a millisecond before it takes a connection."""
LONGEST_SECONDS = 0.01
RETRY_SECONDS = 1.0
"""After a connection could not be taken, as where the process has no file descriptor left."""

logger = logging.getLogger(__name__)


class SharedListener:
    """Takes connections from `listener` one by one, from its making until `close`.

    All workers hear of each. Without this one of them would often win, and have four scorings while another had none.
    """

    def __init__(
        self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol], waiting_tokens: Callable[[], int]
    ) -> None:
        """`waiting_tokens` tells how much this worker has to do."""
        self._listener, self._protocol, self._waiting_tokens = listener, protocol, waiting_tokens
        self._loop = asyncio.get_running_loop()
        self._begun: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        self._loop.remove_reader(self._listener)
        if self._timer:
            self._timer.cancel()

    def _listen(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._heard)

    def _heard(self) -> None:
        if hesitation := min(LONGEST_SECONDS, self._waiting_tokens() // TOKENS / 1000):
            self._pause(hesitation, self._accept)
        else:
            self._accept()

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, then)

    def _accept(self) -> None:
        if self._timer:
            self._listen()
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another was first, or the client left
            return
        except OSError as error:
            logger.error("a connection cannot be taken: %s", error.strerror)
            self._pause(RETRY_SECONDS, self._listen)
            return
        connection.setblocking(False)
        taking = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
        self._begun.add(taking)
        taking.add_done_callback(self._taken)

    def _taken(self, taking: asyncio.Task[Any]) -> None:
        self._begun.discard(taking)
        if not taking.cancelled() and (error := taking.exception()):
            logger.debug("a connection was gone before it was taken: %s", error)
