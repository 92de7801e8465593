"""Several processes that answer on one port, and the one that starts them and looks after them.

SIGTERM or SIGINT   each worker ends as `app/server.py` says, and the service with the last of them
a second signal     ends all of them now
SIGHUP              a new artifact is tried here, and then every worker takes it
SIGUSR1             a worker answers
SIGCHLD             a worker has ended: another takes its place

The workers are forked from a process that has loaded the artifact and does nothing with it, so that its memory, and
most of what Python and torch take, is there once; a worker that takes another's place answers in half a second. They
accept from one socket: whoever has less to do takes a connection, and none is lost with a worker that had not taken it.

uvicorn's own supervisor starts workers that import and load everything anew, ends them on SIGHUP, with their clients'
connections, and waits for them whatever signal comes then.
"""

import gc
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

from app.artifact import Artifact
from app.errors import StartupError
from app.peers import READY, REFUSED, Peers
from app.telemetry import forget_worker

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, READY}
PAUSE_SECONDS = 1.0
"""Between two starts of one worker, so that one that cannot start does not keep the machine busy."""
LONGEST_SECONDS = 3600.0
LONGEST_NAME = 90
"""Of a folder of sockets, whose paths have 107 bytes at most."""

Run = Callable[[], int]
"""Answers requests until the process is asked to end; returns its exit status."""
Prepare = Callable[[Artifact, Peers], Run]
"""Makes what answers requests, and keeps the artifact nowhere else, so that it goes when another takes its place."""

fork = multiprocessing.get_context("fork")
logger = logging.getLogger(__name__)


class Workers:
    def __init__(self, count: int, load: Callable[[], Artifact], prepare: Prepare) -> None:
        """Raises StartupError if there is no artifact to begin with, or no folder for what workers share."""
        self._count, self._load, self._prepare = count, load, prepare
        self._artifact: Artifact | None = load()
        self._started = time.monotonic()
        self._workers: dict[int, ForkProcess] = {}
        self._folder = _shared_folder()
        self._begun: dict[int, float] = {}
        """When each was started last."""
        self._due: dict[int, float] = {0: 0.0}
        """Which workers are to be started, and when, by the monotonic clock."""
        self._answers = self._stopping = False
        self._status = 0
        self._alive, self._held = os.pipe()
        """Workers wait for the end of this pipe, which comes with the end of this process."""

    def run(self) -> int:
        """Returns the exit status of the service once all its workers have ended."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        with self._folder as folder:
            while self._workers or self._due:
                self._start_those_due(Path(folder))
                self._take(signal.sigtimedwait(SIGNALS, self._seconds_until_due()), Path(folder))
                self._bury(Path(folder))  # of several that end at once one signal may tell
        return self._status

    def _take(self, received: signal.struct_siginfo | None, folder: Path) -> None:
        number = received.si_signo if received else None
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._stop(number)
        elif number == signal.SIGHUP:
            self._swap(folder)
        elif number == READY and not self._answers and not self._stopping:
            self._answers = True
            self._due = dict.fromkeys(range(1, self._count), 0.0)

    # ---- starting ----

    def _seconds_until_due(self) -> float:
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else LONGEST_SECONDS

    def _start_those_due(self, folder: Path) -> None:
        for number in [number for number, due in self._due.items() if due <= time.monotonic()]:
            del self._due[number]
            gc.freeze()  # a worker that looks for garbage would copy what it looks at
            worker = fork.Process(target=self._work, args=(folder, number), name=f"worker {number}")
            worker.start()
            self._workers[number], self._begun[number] = worker, time.monotonic()

    def _work(self, folder: Path, number: int) -> None:
        parent = os.getppid()
        os.close(self._held)
        threading.Thread(target=_end_with, args=(self._alive,), name="parent", daemon=True).start()
        assert self._artifact
        run = self._prepare(self._artifact, Peers(folder, number, self._count, self._started))
        self._artifact = None
        status = run()
        if os.getppid() != parent:  # nobody else is left to do it
            shutil.rmtree(folder, ignore_errors=True)
        sys.exit(status)

    # ---- looking after ----

    def _bury(self, folder: Path) -> None:
        """Notes which workers have ended, and when others are to take their places."""
        for number, worker in list(self._workers.items()):
            if worker.is_alive():
                continue
            del self._workers[number]
            forget_worker(folder, number)
            if self._stopping or not self._answers:
                self._status = self._status or int(worker.exitcode != 0)
            else:
                logger.error("worker %d (process %d) %s; another takes its place", number, worker.pid, _end_of(worker))
                self._due[number] = self._begun[number] + PAUSE_SECONDS

    def _stop(self, number: int) -> None:
        self._due = {}
        if self._stopping:
            self._status = 128 + number
        for worker in self._workers.values():
            worker.kill() if self._stopping else worker.terminate()
        self._stopping = True

    def _swap(self, folder: Path) -> None:
        refused = folder / REFUSED
        try:
            self._artifact = self._load()
        except Exception as error:  # whatever is wrong with the new one, the old one answers on
            refused.write_text(str(error) or type(error).__name__)
            logger.error("the new artifact is refused, and the one before answers on: %s", refused.read_text())
            return
        refused.unlink(missing_ok=True)
        for worker in self._workers.values():
            os.kill(worker.pid or 0, signal.SIGHUP)


def _shared_folder() -> "tempfile.TemporaryDirectory[str]":
    try:
        folder = tempfile.TemporaryDirectory(prefix="review-lm-")
    except OSError as error:
        raise StartupError(
            f"Several workers need a folder ({error.strerror}); set TMPDIR to one to write in."
        ) from None
    if len(os.fsencode(folder.name)) > LONGEST_NAME:
        folder.cleanup()
        raise StartupError(f"{folder.name} has too long a name for sockets; set TMPDIR to a folder of a shorter one.")
    return folder


def _end_with(pipe: int) -> None:
    """Asks this process to end when the one that started it has ended."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_of(worker: ForkProcess) -> str:
    code = worker.exitcode or 0
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
