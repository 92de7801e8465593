"""What is done at each of the engine's turns: lines of those who wait, and the batches that are made of them."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from app.admission import Admission
from app.batch import MAX_ROWS, Kind, Progress, advance, decode, score
from app.errors import DeadlineExceeded, InternalError, Problem
from app.interrupt import Interrupt
from app.job import Ended, Job, first_rows
from app.language_model import LanguageModel
from app.telemetry import Telemetry, WorkEnd

Answered = tuple[Job[Any], Any]
"""A job and the result of its call."""
Execute = Callable[[LanguageModel, Sequence[Progress]], None]
EXECUTE: dict[Kind, Execute] = {"decode": decode, "step": advance, "text": advance, "score": score}

logger = logging.getLogger(__name__)


class Turns:
    """Jobs in line for calls of the model, which are run in batches; for one thread at a time, but for `bring_on`.

    What event loops are to be told gathers until somebody calls `told`.
    """

    def __init__(
        self, model: LanguageModel, admission: Admission, deadline_seconds: float, telemetry: Telemetry
    ) -> None:
        self._model, self._admission, self._telemetry = model, admission, telemetry
        self._deadline_seconds = deadline_seconds
        # Looked up once, as labels are compared as texts every time.
        self._model_seconds = {kind: telemetry.model_seconds.labels(kind) for kind in EXECUTE}
        self._batch_rows = {kind: telemetry.batch_rows.labels(kind) for kind in EXECUTE}
        self._lines: dict[Kind, deque[Job[Any]]] = {kind: deque() for kind in EXECUTE}
        self.interrupt = Interrupt()
        """To be asked for whenever somebody comes or leaves, and withdrawn before those who came are begun."""
        self._execute_calls = EXECUTE | {"decode": partial(decode, interrupt=self.interrupt.mark)}
        self._answered: list[Answered] = []
        self._ended: list[Ended] = []
        self.running_rows = 0
        """Rows of the jobs that are in line, and have had a call or are having one."""
        self.in_loops = True
        """Whether jobs that are to go on in their event loops do."""

    def any_waiting(self) -> bool:
        return any(self._lines.values())

    def waiting_for(self, kind: Kind) -> bool:
        return bool(self._lines[kind])

    def begin(self, job: Job[Any]) -> None:
        """Takes a job in, which may have its first call already."""
        if self._is_over(job, time.monotonic()):
            return
        if job.call:
            self.line_up(job)
        else:
            self._resume(job, None)

    def line_up(self, job: Job[Any]) -> None:
        """Puts a job at the end of the line for what it asks: whoever had a turn lets the others go first."""
        assert job.call is not None
        self._lines[job.call.kind].append(job)

    def run_next(self, kind: Kind) -> None:
        """Runs the next call of this kind, if somebody waits for one."""
        try:
            self._run_next(kind)
        except Exception:  # a fault here must not end the thread that everybody waits for
            logger.exception("the engine failed")
            for job in self.take_all():
                failed = InternalError("The engine failed; see the server's output.")
                self._ended.append(self.end(job, "failed", error=failed))

    def take_all(self) -> Iterator[Job[Any]]:
        """Takes all jobs out of their lines."""
        for line in self._lines.values():
            while line:
                yield line.popleft()

    def told(self) -> tuple[list[Answered], list[Ended]]:
        """What is new since the last time: jobs that go on in their event loops, and jobs that have ended."""
        answered, self._answered = self._answered, []
        ended, self._ended = self._ended, []
        return answered, ended

    def _run_next(self, kind: Kind) -> None:
        line = self._lines[kind]
        self._drop_ended(line, time.monotonic())
        jobs = first_rows(line, MAX_ROWS[kind])
        for job, result in self._execute(jobs, kind) if jobs else ():
            if job.in_loop and self.in_loops:
                self._stop_running(job)
                self._answered.append((job, result))
            else:
                self._resume(job, result)

    def _drop_ended(self, line: deque[Job[Any]], now: float) -> None:
        for _ in range(len(line)):
            job = line.popleft()
            if not self._is_over(job, now):
                line.append(job)

    def _is_over(self, job: Job[Any], now: float) -> bool:
        """Ends a job that nobody waits for any more, or that has waited too long."""
        if job.future.cancelled():
            self._ended.append(self.end(job, "cancelled"))
        elif now > job.arrived + self._deadline_seconds:
            late = DeadlineExceeded("The answer took too long; ask for less at once or come again later.")
            self._ended.append(self.end(job, "expired", error=late))
        else:
            return False
        return True

    def _execute(self, jobs: list[Job[Any]], kind: Kind) -> list[Answered]:
        """Runs a batch of calls; returns those answered, and lines up the jobs that need another turn."""
        started = time.monotonic()
        for job in jobs:
            self._start_running(job, started)
        calls = [job.call for job in jobs if job.call]
        try:
            if kind == "decode" and self.any_waiting():
                self.interrupt.ask()
            self._execute_calls[kind](self._model, calls)
        except Exception:
            return self._without_the_failed(jobs, kind)
        self._note_calls(jobs, calls, kind, started)
        answered: list[Answered] = []
        for job, call in zip(jobs, calls, strict=True):
            if call.result is None:
                self.line_up(job)
            else:
                answered.append((job, call.result))
        return answered

    def _note_calls(self, jobs: Sequence[Job[Any]], calls: Sequence[Progress], kind: Kind, started: float) -> None:
        now = time.monotonic()
        self._model_seconds[kind].observe(now - started)
        self._batch_rows[kind].observe(sum(len(call.left) for call in calls))
        for job, call in zip(jobs, calls, strict=True):
            job.timing.model += 1000 * (now - started)
            if call.result is not None and call.chooses:
                self._note_tokens(job, now, call.steps)

    def _start_running(self, job: Job[Any], now: float) -> None:
        if not job.running:
            job.running = True
            self.running_rows += job.work.rows
        self._note_begun(job, now)

    def _note_begun(self, job: Job[Any], now: float) -> None:
        if not job.begun:
            job.begun, job.timing.queue = True, 1000 * (now - job.arrived)
            self._telemetry.queue_seconds.observe(now - job.arrived)

    def _stop_running(self, job: Job[Any]) -> None:
        if job.running:
            job.running = False
            self.running_rows -= job.work.rows

    def _note_tokens(self, job: Job[Any], now: float, count: int) -> None:
        if job.last_token:
            for _ in range(count):
                self._telemetry.token_seconds.observe((now - job.last_token) / count)
        else:
            self._telemetry.first_token_seconds.observe(now - job.arrived)
        job.last_token = now

    def _without_the_failed(self, jobs: list[Job[Any]], kind: Kind) -> list[Answered]:
        """Runs a call that failed again for each of its jobs alone, so that only the one at fault fails."""
        if len(jobs) > 1:
            return [answered for job in jobs for answered in self._execute([job], kind)]
        self._ended.append(self._failed(jobs[0]))
        return []

    def _failed(self, job: Job[Any]) -> Ended:
        logger.exception("a model call failed")
        return self.end(
            job, "failed", error=InternalError("The model failed on this request; the server's output tells more.")
        )

    def _resume(self, job: Job[Any], result: Any) -> None:
        """Brings a job on in the engine's thread."""
        if ended := self.bring_on(job, result):
            self._ended.append(ended)
        else:
            self.line_up(job)

    def run_known(self, job: Job[Any]) -> Ended | None:
        """Answers a call for which nothing has to be run, and brings the job on; for a job in no line from any thread.

        Tells how the job ended if it did.
        """
        assert job.call is not None
        started = time.monotonic()
        self._note_begun(job, started)
        try:
            advance(self._model, [job.call])
        except Exception:
            return self._failed(job)
        self._note_calls([job], [job.call], job.call.kind, started)
        return self.bring_on(job, job.call.result)

    def bring_on(self, job: Job[Any], result: Any) -> Ended | None:
        """Sends a task the result of its call and takes its next one; tells how it ended if there is none.

        For a job in no line from any thread.
        """
        job.call = None
        try:
            job.call = Progress.of(job.task.send(result))
        except StopIteration as finished:
            return self.end(job, "finished", finished.value)
        except Exception as error:
            if not isinstance(error, Problem):
                logger.exception("a task failed")
                error = InternalError("The request failed; the server's output tells more.")
            return self.end(job, "failed", error=error)
        return None

    def end(self, job: Job[Any], end: WorkEnd, result: Any = None, error: Exception | None = None) -> Ended:
        """Ends a job that is in no line."""
        job.task.close()
        self._admission.leave(job.work)
        self._telemetry.work_ends[end].inc()
        self._stop_running(job)
        return Ended(job, result, error)
