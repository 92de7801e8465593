"""The engine: one thread that runs the model, and everybody's work in common batches.

Work is a task, as `app/calls.py` describes it. At each turn the engine takes whatever is waiting, joins the calls of
all tasks into one batch of each kind, and hands the results back; tasks join and leave at every turn. Long rows are fed
in chunks, so that a long text does not hold up a short one. A row's result does not depend on its neighbours, as the
artifact promises.

A keystroke that comes alone, while the thread sleeps, is run where it came: to wake a thread and to be woken by it
takes about as long as the model does.
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

from app.admission import Admission, Work
from app.batch import MAX_ROWS, Kind, Progress, advance, decode, score
from app.calls import Result, Task, Timing
from app.errors import DeadlineExceeded, InternalError, NotReady, Overloaded, Problem
from app.language_model import LanguageModel
from app.telemetry import Telemetry, WorkEnd

Execute = Callable[[LanguageModel, Sequence[Progress]], None]
EXECUTE: dict[Kind, Execute] = {"decode": decode, "step": advance, "text": advance, "score": score}
LONGER: tuple[Kind, ...] = ("decode", "text", "score")

ONE_ROW = Work()
CALLS_ALONE = 4
"""Calls of a keystroke that comes alone which the event loop waits for: with letters typed, a search may need some."""

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Job(Generic[Result]):
    task: Task[Result]
    work: Work
    arrived: float
    future: "asyncio.Future[tuple[Result, Timing]]"
    timing: Timing = field(default_factory=Timing)
    call: Progress | None = None
    started: bool = False
    last_token: float = 0.0


class Engine:
    """Runs tasks on a model in a thread of its own; `start`, then `submit` from an event loop, then `close`."""

    def __init__(
        self,
        model: LanguageModel,
        limits: Work,
        deadline_seconds: float,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.model = model
        self._deadline_seconds = deadline_seconds
        self._telemetry = telemetry or Telemetry()
        # Looked up once, as labels are compared as texts every time.
        self._model_seconds = {kind: self._telemetry.model_seconds.labels(kind) for kind in EXECUTE}
        self._batch_rows = {kind: self._telemetry.batch_rows.labels(kind) for kind in EXECUTE}
        self._admission = Admission(limits, deadline_seconds)
        self._fresh: list[_Job[Any]] = []
        self._inbox: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._lines: dict[Kind, deque[_Job[Any]]] = {kind: deque() for kind in EXECUTE}
        self._ended: list[tuple[_Job[Any], Any, Exception | None]] = []
        self._lock = threading.Lock()
        self._running = threading.Lock()
        """Held by whoever runs the model: the engine's thread while it is awake, or an event loop."""
        self._closing = False
        self._running_rows = 0
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def admitted_rows(self) -> int:
        """Rows of work that wait or run."""
        return self._admission.admitted.rows

    @property
    def running_rows(self) -> int:
        """Rows of the work among it that has begun."""
        return self._running_rows

    @property
    def admitted_tokens(self) -> int:
        """Tokens that this work was estimated at."""
        return self._admission.admitted.tokens

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Finishes what was admitted, then stops the thread."""
        with self._lock:
            self._closing = True
        self._hand_over()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def submit(
        self, task: Task[Result], work: Work = ONE_ROW, arrived: float | None = None, begin: bool = False
    ) -> "asyncio.Future[tuple[Result, Timing]]":
        """Queues a task, which is admitted as so much `work`.

        With `begin` it is brought to its first call here, for tasks that get there soon: the engine's own thread has
        the less to do between two calls of the model.

        Its future holds its result and where the time went. Raises Overloaded before any work if too much is waiting.
        Cancelling the future ends the task at the next turn; one that is not done in time, counted from when it
        `arrived` by the monotonic clock, ends with DeadlineExceeded.
        """
        future: asyncio.Future[tuple[Result, Timing]] = asyncio.get_running_loop().create_future()
        self._admit(_Job(task, work, time.monotonic() if arrived is None else arrived, future), begin)
        return future

    def _admit(self, job: _Job[Any], begin: bool) -> None:
        with self._lock:
            if self._closing or not self.alive:
                raise NotReady("The service is stopping or its model has failed; send the request to another instance.")
            try:
                self._admission.enter(job.work)
            except Overloaded:
                self._telemetry.work_ends["refused"].inc()
                raise
            if not begin or self._has_call(job):
                self._fresh.append(job)
                job.future.get_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Hands over what is fresh, after the event loop's turn: all that came in together shares the engine's turn.

        One by one the first would have a turn to itself, and the engine would ask for the interpreter in between.
        """
        with self._lock:
            fresh, self._fresh = self._fresh, []
            if not self._can_run_here(fresh):
                for job in fresh:
                    self._inbox.put(job)
                return
        try:
            self._run_here(fresh[0])
        finally:
            self._running.release()

    def _can_run_here(self, fresh: Sequence[_Job[Any]]) -> bool:
        """Whether it is a lone keystroke and the engine sleeps, which it then does until `_running` is released."""
        if len(fresh) != 1 or not fresh[0].call or fresh[0].call.kind != "step" or self._closing:
            return False
        if fresh[0].future.get_loop() is not asyncio.get_running_loop():
            return False
        return self._inbox.empty() and self._running.acquire(blocking=False)

    def _run_here(self, job: _Job[Any]) -> None:
        """Runs a job in this thread; what it needs beyond some calls is left to the engine's.

        That one is there to take it even if the engine closes meanwhile: it ends only with `_running` in its own hands.
        """
        self._line_up(job)
        with torch.inference_mode():
            for _ in range(CALLS_ALONE):
                if self._lines["step"]:
                    self._guarded(self._execute_next, "step")
        ended, self._ended = self._ended, []
        _settle(ended)
        for line in self._lines.values():
            while line:
                self._inbox.put(line.popleft())

    def _has_call(self, job: _Job[Any]) -> bool:
        """Brings a job to its first call; False where it has its result without any."""
        try:
            job.call = Progress.of(job.task.send(None))
        except StopIteration as finished:
            self._leave(job, "finished")
            job.future.set_result((finished.value, job.timing))
            return False
        except Exception:
            self._leave(job, "failed")
            raise
        return True

    # ---- the engine's thread ----

    def _work(self) -> None:
        with torch.inference_mode(), self._running:
            while self._take_waiting():
                self._guarded(self._turn)
                self._deliver()

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception:  # a fault here must not end the thread that everybody waits for
            logger.exception("the engine failed")
            self._fail_all()

    def _fail_all(self) -> None:
        for line in self._lines.values():
            while line:
                self._end(line.popleft(), "failed", error=InternalError("The engine failed; see the server's output."))

    def _take_waiting(self) -> bool:
        """Takes all jobs that wait, sleeping only where there is nothing to do; False when the engine is closed."""
        self._take_arrived()
        while not any(self._lines.values()):
            if self._ended:
                self._deliver()
            if self._closing and self._inbox.empty():
                return False
            self._begin(self._sleep())
            self._take_arrived()
        return True

    def _sleep(self) -> _Job[Any] | None:
        self._running.release()
        try:
            return self._inbox.get()
        finally:
            self._running.acquire()

    def _take_arrived(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._begin(self._inbox.get_nowait())

    def _begin(self, job: _Job[Any] | None) -> None:
        if job and not self._is_over(job, time.monotonic()):
            if job.call:
                self._line_up(job)
            else:
                self._resume(job, None)

    def _turn(self) -> None:
        """A call of each kind for which there is work; keystrokes, which are short, have theirs before every other."""
        for kind in LONGER:
            self._run("step")
            if self._lines[kind]:
                self._run(kind)
                self._take_arrived()

    def _run(self, kind: Kind) -> None:
        self._execute_next(kind)
        self._deliver()  # at once, so that the event loop answers while the next call runs

    def _execute_next(self, kind: Kind) -> None:
        line = self._lines[kind]
        self._drop_ended(line, time.monotonic())
        if jobs := _first_rows(line, MAX_ROWS[kind]):
            self._execute(jobs, kind)

    def _drop_ended(self, line: deque[_Job[Any]], now: float) -> None:
        for _ in range(len(line)):
            job = line.popleft()
            if not self._is_over(job, now):
                line.append(job)

    def _is_over(self, job: _Job[Any], now: float) -> bool:
        """Ends a job that nobody waits for any more, or that has waited too long."""
        if job.future.cancelled():
            self._end(job, "cancelled")
        elif now > job.arrived + self._deadline_seconds:
            late = DeadlineExceeded("The answer took too long; ask for less at once or come again later.")
            self._end(job, "expired", error=late)
        else:
            return False
        return True

    def _execute(self, jobs: list[_Job[Any]], kind: Kind) -> None:
        started = time.monotonic()
        for job in jobs:
            if not job.started:
                job.started, job.timing.queue = True, 1000 * (started - job.arrived)
                self._running_rows += job.work.rows
                self._telemetry.queue_seconds.observe(started - job.arrived)
        calls = [job.call for job in jobs if job.call]
        try:
            EXECUTE[kind](self.model, calls)
        except Exception:
            self._failed(jobs, kind)
            return
        now = time.monotonic()
        self._model_seconds[kind].observe(now - started)
        self._batch_rows[kind].observe(sum(len(call.left) for call in calls))
        for job, call in zip(jobs, calls, strict=True):
            job.timing.model += 1000 * (now - started)
            if call.result is None:
                self._line_up(job)
                continue
            if call.chooses:
                self._note_token(job, now)
            self._resume(job, call.result)

    def _note_token(self, job: _Job[Any], now: float) -> None:
        if job.last_token:
            self._telemetry.token_seconds.observe(now - job.last_token)
        else:
            self._telemetry.first_token_seconds.observe(now - job.arrived)
        job.last_token = now

    def _failed(self, jobs: list[_Job[Any]], kind: Kind) -> None:
        """Runs a call that failed again for each of its jobs alone, so that only the one at fault fails."""
        if len(jobs) > 1:
            for job in jobs:
                self._execute([job], kind)
            return
        logger.exception("a model call failed")
        self._end(
            jobs[0], "failed", error=InternalError("The model failed on this request; the server's output tells more.")
        )

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
            self._end(job, "finished", finished.value)
        except Exception as error:
            if not isinstance(error, Problem):
                logger.exception("a task failed")
                error = InternalError("The request failed; the server's output tells more.")
            self._end(job, "failed", error=error)

    def _end(self, job: _Job[Any], end: WorkEnd, result: Any = None, error: Exception | None = None) -> None:
        job.task.close()
        self._leave(job, end)
        self._running_rows -= job.work.rows if job.started else 0
        self._ended.append((job, result, error))

    def _leave(self, job: _Job[Any], end: WorkEnd) -> None:
        self._admission.leave(job.work)
        self._telemetry.work_ends[end].inc()

    def _deliver(self) -> None:
        """Hands the results that there are to their event loops, all at once."""
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


def _first_rows(line: deque[_Job[Any]], most: int) -> list[_Job[Any]]:
    """Takes the jobs of one turn out of the line: the first, and as many more as make `most` rows."""
    chosen: list[_Job[Any]] = []
    rows = 0
    while line and line[0].call:
        rows += len(line[0].call.left)
        if chosen and rows > most:
            break
        chosen.append(line.popleft())
    return chosen
