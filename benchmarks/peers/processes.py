"""A server as all its processes: their time, their memory, and that none of them is left behind."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from benchmarks.peers.peers import Peer
from benchmarks.servers import STARTING_SECONDS, Server, serving

LOOK_SECONDS = 0.02
ENDING_SECONDS = 5.0


@dataclass(frozen=True)
class Running:
    """A server that answers, and how long that took from when its process was started."""

    peer: Peer
    server: Server
    cold_start: float

    def processes(self) -> list[psutil.Process]:
        return [self.server.process, *self.server.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Of all its processes that live."""
        return sum(sum(times[:2]) for each in self.processes() if (times := _of(each, "cpu_times")))

    def memory_bytes(self) -> int:
        """Resident memory of all processes; what they share counts once, where the kernel tells."""
        found = (_of(each, "memory_full_info") for each in self.processes())
        return sum(getattr(each, "pss", each.rss) for each in found if each)


def _of(process: psutil.Process, what: str) -> Any:
    """What psutil tells of a process, None of one that has ended."""
    try:
        return getattr(process, what)()
    except psutil.NoSuchProcess:
        return None


@contextmanager
def running(peer: Peer, **settings: str) -> Iterator[Running]:
    """Runs a server until the end of the block, with nothing kept from a time before; `settings` as for `serving`."""
    started = time.perf_counter()
    left: list[psutil.Process] = []
    with ExitStack() as stack:
        stack.callback(_kill, left)
        server = stack.enter_context(serving(peer.module, **dict(peer.settings), **settings))
        path, body = ("/generate", {"max_tokens": 1}) if peer.writes else ("/next-word", {"text": "The food was "})
        _first_answer(server, *peer.request(path, body))
        found = Running(peer, server, time.perf_counter() - started)
        try:
            yield found
        finally:
            left += found.processes()
            _end(server.process)


def _first_answer(server: Server, path: str, body: object) -> None:
    give_up = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < give_up:
        try:
            if httpx.post(server.url + path, json=body, timeout=STARTING_SECONDS).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"{server.url}{path} never answered")


def _end(process: psutil.Process) -> None:
    """Asks a server to end, and does not wait for work that nobody waits for."""
    process.terminate()
    _, alive = psutil.wait_procs([process], timeout=ENDING_SECONDS)
    for each in alive:
        each.kill()


def _kill(left: list[psutil.Process]) -> None:
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:  # as it should be
            continue
    psutil.wait_procs(left, timeout=10)
