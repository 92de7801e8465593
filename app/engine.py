"""The engine: one thread that owns the model and runs everybody's work in common batches.

Work is a task, as `app/calls.py` describes it. At each turn the engine takes whatever is waiting, joins the calls of
all tasks into one batch of each kind, and hands the results back; tasks join and leave at every turn. Long rows are fed
in chunks, so that a long text does not hold up a short one. A row's result does not depend on its neighbours, as the
artifact promises.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic

import torch
from torch import Tensor

from app.calls import Advance, Advanced, Call, Decode, Decoded, Result, Score, Scored, Task, Timing
from app.errors import DeadlineExceeded, InternalError, NotReady, Overloaded, Problem
from app.language_model import LanguageModel
from app.sampling import sample

CHUNK = 16
"""Tokens of a row that are run in one turn."""
MAX_ROWS = 64
"""Rows of one call into the model; what is over waits for the next turn."""

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job(Generic[Result]):
    task: Task[Result]
    rows: int
    deadline: float
    future: "Future[tuple[Result, Timing]]" = field(default_factory=Future)
    timing: Timing = field(default_factory=Timing)
    arrived: float = field(default_factory=time.monotonic)
    started: bool = False
    call: "_Progress | None" = None


@dataclass(eq=False)
class _Progress:
    """A call under way: what each of its rows still has to run."""

    call: Call
    left: list[list[int]]
    state: Tensor
    log_probabilities: Tensor | None = None
    scores: list[list[float]] = field(default_factory=list)
    ranks: list[list[int]] = field(default_factory=list)
    chosen: list[int] = field(default_factory=list)


_Execute = Callable[[list[_Progress]], None]


class Engine:
    """Runs tasks on a model in a thread of its own; `start`, then `submit` from any event loop, then `close`."""

    def __init__(self, model: LanguageModel, max_waiting_rows: int, deadline_seconds: float) -> None:
        self.model = model
        self._max_rows, self._deadline_seconds = max_waiting_rows, deadline_seconds
        self._inbox: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._jobs: list[_Job[Any]] = []
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
        job = _Job(task, rows, time.monotonic() + self._deadline_seconds)
        self._admit(job)
        return asyncio.wrap_future(job.future)

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
                    for job in [*self._jobs]:
                        self._fail(job, InternalError("The engine failed; the server's output tells more."))

    def _take_waiting(self) -> bool:
        """Takes all jobs that wait, sleeping only where there is nothing to do; False when the engine is closed."""
        while True:
            try:
                job = self._inbox.get(block=not self._jobs and not self._closing)
            except queue.Empty:
                return bool(self._jobs) or not self._closing
            if job is not None:
                self._jobs.append(job)
                self._resume(job, None)

    def _turn(self) -> None:
        now = time.monotonic()
        for job in [*self._jobs]:
            if job.future.cancelled():
                self._leave(job)
            elif now > job.deadline:
                self._fail(job, DeadlineExceeded("The answer took too long; ask for less at once or come again later."))
        for kind, execute in (
            ("decode", self._decode),
            ("step", self._advance),
            ("text", self._advance),
            ("score", self._score),
        ):
            jobs = _first_rows([job for job in self._jobs if job.call and _kind(job.call) == kind])
            if jobs:
                self._execute(jobs, execute)

    def _execute(self, jobs: "list[_Job[Any]]", execute: _Execute) -> None:
        started = time.monotonic()
        for job in jobs:
            if not job.started:
                job.started, job.timing.queue = True, 1000 * (started - job.arrived)
        try:
            execute([job.call for job in jobs if job.call])
        except Exception:
            self._failed(jobs, execute)
            return
        elapsed = 1000 * (time.monotonic() - started)
        # Whoever had a turn goes to the end of the line.
        self._jobs = [job for job in self._jobs if job not in jobs] + jobs
        for job in jobs:
            job.timing.model += elapsed
            if job.call and not any(job.call.left):
                self._resume(job, _result(job.call))

    def _failed(self, jobs: "list[_Job[Any]]", execute: _Execute) -> None:
        """Runs a call that failed again for each of its jobs alone, so that only the one at fault fails."""
        if len(jobs) > 1:
            for job in jobs:
                self._execute([job], execute)
            return
        logger.exception("a model call failed")
        self._fail(jobs[0], InternalError("The model failed on this request; the server's output tells more."))

    def _advance(self, calls: list[_Progress]) -> None:
        tokens, lengths, state = _chunk(calls)
        log_probabilities, state = self.model.advance(tokens, lengths, state)
        for call, rows in _slices(calls):
            # A row that was done before this chunk kept its state, from which the same probabilities follow again.
            call.log_probabilities, call.state = log_probabilities[rows], state[rows]
            call.left = [left[CHUNK:] for left in call.left]

    def _decode(self, calls: list[_Progress]) -> None:
        tokens = torch.tensor([row[0] for call in calls for row in call.left])
        log_probabilities, state = self.model.step(tokens, torch.cat([call.state for call in calls]))
        settings = [row for call in calls if isinstance(call.call, Decode) for row in call.call.rows]
        chosen = sample(log_probabilities, settings)
        scores = log_probabilities.gather(1, torch.tensor(chosen)[:, None])[:, 0].tolist()
        for call, rows in _slices(calls):
            call.chosen, call.scores, call.state = chosen[rows], [scores[rows]], state[rows]
            call.left = [[] for _ in call.left]

    def _score(self, calls: list[_Progress]) -> None:
        tokens, lengths, state = _chunk(calls)
        log_probabilities, ranks, state = self.model.score(tokens, lengths, state, any(map(_ranked, calls)))
        for call, rows in _slices(calls):
            for row, left in enumerate(call.left):
                count = min(CHUNK, len(left))
                call.scores[row] += log_probabilities[rows.start + row, :count].tolist()
                call.ranks[row] += ranks[rows.start + row, :count].tolist() if _ranked(call) else [0] * count
            call.state = state[rows]
            call.left = [left[CHUNK:] for left in call.left]

    # ---- jobs ----

    def _resume(self, job: _Job[Any], result: Any) -> None:
        """Sends a task the result of its call and takes its next one."""
        try:
            job.call = _progress(job.task.send(result))
        except StopIteration as finished:
            self._leave(job)
            if job.future.set_running_or_notify_cancel():
                job.future.set_result((finished.value, job.timing))
        except Exception as error:
            if not isinstance(error, Problem):
                logger.exception("a task failed")
                error = InternalError("The request failed; the server's output tells more.")
            self._fail(job, error)

    def _fail(self, job: _Job[Any], error: Exception) -> None:
        self._leave(job)
        if job.future.set_running_or_notify_cancel():
            job.future.set_exception(error)

    def _leave(self, job: _Job[Any]) -> None:
        self._jobs.remove(job)
        job.task.close()
        with self._lock:
            self._admitted_rows -= job.rows


def _progress(call: Call) -> _Progress:
    if isinstance(call, Decode):
        return _Progress(call, [[token] for token in call.tokens], call.state)
    rows = [list(row) for row in call.tokens]
    empty: list[list[Any]] = [[] for _ in rows]
    return _Progress(call, rows, call.state, scores=empty, ranks=[[] for _ in rows])


def _result(progress: _Progress) -> Advanced | Decoded | Scored:
    if isinstance(progress.call, Decode):
        return Decoded(progress.chosen, progress.scores[0], progress.state)
    if isinstance(progress.call, Score):
        return Scored(progress.scores, progress.ranks)
    assert progress.log_probabilities is not None
    return Advanced(progress.log_probabilities, progress.state)


def _kind(progress: _Progress) -> str:
    """Which calls are run together; single tokens apart from texts, to whose length they would be padded."""
    if isinstance(progress.call, Advance):
        return "text" if any(len(left) > 1 for left in progress.left) else "step"
    return "decode" if isinstance(progress.call, Decode) else "score"


def _ranked(progress: _Progress) -> bool:
    return isinstance(progress.call, Score) and progress.call.ranks


def _first_rows(jobs: "list[_Job[Any]]") -> "list[_Job[Any]]":
    """The jobs of one turn: the first of them, and as many more as fit into a call."""
    chosen: list[_Job[Any]] = []
    rows = 0
    for job in jobs:
        rows += len(job.call.left) if job.call else 0
        if chosen and rows > MAX_ROWS:
            break
        chosen.append(job)
    return chosen


def _slices(calls: list[_Progress]) -> list[tuple[_Progress, slice]]:
    """Each call with the rows of the batch that are its own."""
    result, start = [], 0
    for call in calls:
        result.append((call, slice(start, start + len(call.left))))
        start += len(call.left)
    return result


def _chunk(calls: list[_Progress]) -> tuple[Tensor, Tensor, Tensor]:
    """The next chunk of every row: `tokens [B, T]` padded with 0, `lengths [B]`, `state [B, S]`."""
    rows = [left[:CHUNK] for call in calls for left in call.left]
    longest = max(len(row) for row in rows)
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.int64)
    return tokens, torch.tensor([len(row) for row in rows]), torch.cat([call.state for call in calls])
