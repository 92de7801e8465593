"""The engine: one thread that owns the model and runs everybody's work in common batches.

Work is a task, as `app/calls.py` describes it. At each turn the engine takes whatever is waiting, joins the calls of
all tasks into one batch of each kind, and hands the results back; tasks join and leave at every turn. Long rows are fed
in chunks, so that a long text does not hold up a short one. A row's result does not depend on its neighbours, as the
artifact promises.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

import torch

from app.batch import MAX_ROWS, Kind, Progress, advance, decode, score
from app.calls import Result, Task, Timing
from app.errors import DeadlineExceeded, InternalError, NotReady, Overloaded, Problem
from app.language_model import LanguageModel

Execute = Callable[[LanguageModel, Sequence[Progress]], None]
EXECUTE: dict[Kind, Execute] = {"decode": decode, "step": advance, "text": advance, "score": score}

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Job(Generic[Result]):
    task: Task[Result]
    rows: int
    deadline: float
    future: "asyncio.Future[tuple[Result, Timing]]"
    timing: Timing = field(default_factory=Timing)
    arrived: float = field(default_factory=time.monotonic)
    started: bool = False
    call: Progress | None = None


class Engine:
    """Runs tasks on a model in a thread of its own; `start`, then `submit` from an event loop, then `close`."""

    def __init__(self, model: LanguageModel, max_waiting_rows: int, deadline_seconds: float) -> None:
        self.model = model
        self._max_rows, self._deadline_seconds = max_waiting_rows, deadline_seconds
        self._inbox: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._lines: dict[Kind, deque[_Job[Any]]] = {kind: deque() for kind in EXECUTE}
        self._ended: list[tuple[_Job[Any], Any, Exception | None]] = []
        self._lock = threading.Lock()
        self._admitted_rows = 0
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def admitted_rows(self) -> int:
        """Rows of work that wait or run."""
        return self._admitted_rows

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Finishes what was admitted, then stops the thread."""
        with self._lock:
            self._closing = True
            self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, task: Task[Result], rows: int) -> "asyncio.Future[tuple[Result, Timing]]":
        """Queues a task that works on at most `rows` rows at once; its future holds its result and where the time went.

        Raises Overloaded before any work if too many rows wait. Cancelling the future ends the task at the next turn; a
        task that takes too long ends with DeadlineExceeded.
        """
        future: asyncio.Future[tuple[Result, Timing]] = asyncio.get_running_loop().create_future()
        self._admit(_Job(task, rows, time.monotonic() + self._deadline_seconds, future))
        return future

    def _admit(self, job: _Job[Any]) -> None:
        with self._lock:
            if self._closing or not self.alive:
                raise NotReady("The service is stopping or its model has failed; send the request to another instance.")
            if self._admitted_rows and self._admitted_rows + job.rows > self._max_rows:
                raise Overloaded(
                    f"{self._admitted_rows} rows of work are waiting already; come again after Retry-After seconds.",
                    headers={"Retry-After": "1"},
                )
            self._admitted_rows += job.rows
            self._inbox.put(job)

    # ---- the engine's thread ----

    def _work(self) -> None:
        with torch.inference_mode():
            while self._take_waiting():
                try:
                    self._turn()
                except Exception:  # a fault here must not end the thread that everybody waits for
                    logger.exception("the engine failed")
                    for line in self._lines.values():
                        while line:
                            self._end(
                                line.popleft(), error=InternalError("The engine failed; see the server's output.")
                            )
                self._deliver()

    def _take_waiting(self) -> bool:
        """Takes all jobs that wait, sleeping only where there is nothing to do; False when the engine is closed."""
        while True:
            idle = not any(self._lines.values())
            try:
                job = self._inbox.get(block=idle and not self._closing)
            except queue.Empty:
                return not idle or not self._closing
            if job is not None:
                self._resume(job, None)
                if not job.call:  # it ended without asking the model
                    self._deliver()

    def _turn(self) -> None:
        now = time.monotonic()
        for kind, line in self._lines.items():
            if line:
                self._drop_ended(line, now)
                if jobs := _first_rows(line):
                    self._execute(jobs, EXECUTE[kind])

    def _drop_ended(self, line: deque[_Job[Any]], now: float) -> None:
        for _ in range(len(line)):
            job = line.popleft()
            if job.future.cancelled():
                self._end(job)
            elif now > job.deadline:
                self._end(job, error=DeadlineExceeded("The answer took too long; ask for less at once or come later."))
            else:
                line.append(job)

    def _execute(self, jobs: list[_Job[Any]], execute: Execute) -> None:
        started = time.monotonic()
        for job in jobs:
            if not job.started:
                job.started, job.timing.queue = True, 1000 * (started - job.arrived)
        try:
            execute(self.model, [job.call for job in jobs if job.call])
        except Exception:
            self._failed(jobs, execute)
            return
        elapsed = 1000 * (time.monotonic() - started)
        for job in jobs:
            job.timing.model += elapsed
            if job.call and job.call.result is None:
                self._line_up(job)
            elif job.call:
                self._resume(job, job.call.result)

    def _failed(self, jobs: list[_Job[Any]], execute: Execute) -> None:
        """Runs a call that failed again for each of its jobs alone, so that only the one at fault fails."""
        if len(jobs) > 1:
            for job in jobs:
                self._execute([job], execute)
            return
        logger.exception("a model call failed")
        self._end(jobs[0], error=InternalError("The model failed on this request; the server's output tells more."))

    # ---- jobs ----

    def _line_up(self, job: _Job[Any]) -> None:
        """Puts a job at the end of the line for what it asks: whoever had a turn lets the others go first."""
        assert job.call is not None
        self._lines[job.call.kind].append(job)

    def _resume(self, job: _Job[Any], result: Any) -> None:
        """Sends a task the result of its call and takes its next one."""
        job.call = None
        try:
            job.call = Progress.of(job.task.send(result))
            self._line_up(job)
        except StopIteration as finished:
            self._end(job, finished.value)
        except Exception as error:
            if not isinstance(error, Problem):
                logger.exception("a task failed")
                error = InternalError("The request failed; the server's output tells more.")
            self._end(job, error=error)

    def _end(self, job: _Job[Any], result: Any = None, error: Exception | None = None) -> None:
        job.task.close()
        with self._lock:
            self._admitted_rows -= job.rows
        self._ended.append((job, result, error))

    def _deliver(self) -> None:
        """Hands the results of a turn to their event loops, all at once."""
        ended, self._ended = self._ended, []
        for loop in {job.future.get_loop() for job, _, _ in ended}:
            with contextlib.suppress(RuntimeError):  # a loop that was closed has nobody waiting
                loop.call_soon_threadsafe(_settle, [each for each in ended if each[0].future.get_loop() is loop])


def _settle(ended: list[tuple[_Job[Any], Any, Exception | None]]) -> None:
    for job, result, error in ended:
        if job.future.done():  # cancelled
            continue
        if error is None:
            job.future.set_result((result, job.timing))
        else:
            job.future.set_exception(error)


def _first_rows(line: deque[_Job[Any]]) -> list[_Job[Any]]:
    """Takes the jobs of one turn out of the line: the first, and as many more as fit into a call."""
    chosen: list[_Job[Any]] = []
    rows = 0
    while line and line[0].call:
        rows += len(line[0].call.left)
        if chosen and rows > MAX_ROWS:
            break
        chosen.append(line.popleft())
    return chosen
