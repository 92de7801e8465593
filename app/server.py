"""The server: uvicorn's, ended so that nothing that was admitted is lost, and given another model while it answers.

SIGTERM or SIGINT    the service says at once that it is not ready, and goes on answering
drain_seconds later  it takes no more connections, and closes those that wait for nothing
grace_seconds more   what is under way is finished, or cut
a second signal      ends the process now
SIGHUP               the artifact is loaded anew, and answers if it is a good one (`app/serving.py`)
"""

import asyncio
import functools
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from app.serving import Serving
from app.shared_listener import SharedListener

CLOSE = (b"connection", b"close")
STEP_SECONDS = 0.05

logger = logging.getLogger(__name__)


class DrainingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, serving: Serving, drain_seconds: float, grace_seconds: float) -> None:
        super().__init__(config)
        self._serving = serving
        self._drain_seconds, self._grace_seconds = drain_seconds, grace_seconds
        self._swap_wanted = False
        self._swap: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes signals, those as well that were held back until now, as a new model must not be missed."""
        with super().capture_signals():
            signal.signal(signal.SIGHUP, self._want_swap)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            yield
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self._end_now(sig)
            return
        self._serving.stop_being_ready()
        self.should_exit = True

    def _end_now(self, sig: int) -> None:
        os._exit(128 + sig)  # as a shell counts a process that a signal ended

    def _want_swap(self, sig: int, frame: FrameType | None) -> None:
        self._swap_wanted = True

    async def on_tick(self, counter: int) -> bool:
        if self._swap_wanted and not (self._swap and not self._swap.done()):
            self._swap_wanted = False
            self._swap = asyncio.create_task(self._serving.swap(lambda: set(self.server_state.tasks)))
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._drain()
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._finish()
        await self.lifespan.shutdown()

    async def _drain(self) -> None:
        """Answers whoever comes, and has them come no more on the same connection, for a balancer to look elsewhere."""
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        if self._drain_seconds:
            logger.info("not ready any more; closing in %g seconds", self._drain_seconds)
            await asyncio.sleep(self._drain_seconds)

    async def _finish(self) -> None:
        loop, state = asyncio.get_running_loop(), self.server_state
        give_up = loop.time() + self._grace_seconds
        while (state.tasks or state.connections) and loop.time() < give_up:
            await asyncio.sleep(STEP_SECONDS)
        if tasks := list(state.tasks):
            logger.warning("%d requests took longer than %g seconds and are cut", len(tasks), self._grace_seconds)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)  # until their rows of the log are made


class WorkersServer(DrainingServer):
    """One of several: whoever started it, which is asked to end as well, says when it has to be now."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        protocol_class: Any = self.config.http_protocol_class
        protocol = functools.partial(
            protocol_class,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        listeners: list[Any] = [SharedListener(each, protocol, lambda: self._serving.tokens) for each in sockets or []]
        self.servers += listeners

    def _end_now(self, sig: int) -> None:
        pass
