"""The engine: one thread that runs the model, and everybody's work in common batches.

Work is a task, as `app/calls.py` describes it. At each turn the engine takes whatever is waiting, joins the calls of
all tasks into one batch of each kind, and hands the results back; tasks join and leave at every turn. Long rows are fed
in chunks, so that a long text does not hold up a short one. A row's result does not depend on its neighbours, as the
artifact promises.

A keystroke's own part, the search for words, is run by the event loop it came from, beside the thread's next call. One
that comes alone, while the thread sleeps, has its calls run there, too: to wake a thread and to be woken by it takes
about as long as the model does.

A review that begins with nothing has its first token there as well, at once: what follows an opening is known, so that
a draw is all there is to do, and who waits for the token does not wait for the call that the thread is in.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from app.admission import Admission, Work
from app.batch import Kind
from app.calls import Result, Task, Timing
from app.errors import NotReady, Overloaded
from app.job import Ended, Job, tell
from app.language_model import LanguageModel
from app.telemetry import Telemetry
from app.turns import Answered, Turns

LONGER: tuple[Kind, ...] = ("decode", "text", "score")

ONE_ROW = Work()
CALLS_ALONE = 4
"""Calls of a keystroke that comes alone which the event loop waits for: with letters typed, a search may need some."""
STOPPING = "The service is stopping or its model has failed; send the request to another instance."


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
        self._telemetry = telemetry or Telemetry()
        self._admission = Admission(limits, deadline_seconds)
        self._turns = Turns(model, self._admission, deadline_seconds, self._telemetry)
        self._fresh: list[Job[Any]] = []
        self._inbox: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running = threading.Lock()
        """Held by whoever runs the model: the engine's thread while it is awake, or an event loop."""
        self._closing = self._closed = False
        self.alive = False
        """Whether there is a thread that runs the model; asking the thread itself takes longer."""
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)

    @property
    def admitted_rows(self) -> int:
        """Rows of work that wait or run."""
        return self._admission.admitted.rows

    @property
    def running_rows(self) -> int:
        """Rows of the work among it that the thread has begun and has in hand."""
        return self._turns.running_rows

    @property
    def admitted_tokens(self) -> int:
        """Tokens that this work was estimated at."""
        return self._admission.admitted.tokens

    def start(self) -> None:
        self.alive = True
        self._thread.start()

    def close(self) -> None:
        """Finishes what was admitted, then stops the thread.

        A task that its event loop has in hand meanwhile, and that then asks for another call, ends with NotReady.
        """
        with self._lock:
            self._closing = True
            self._turns.in_loops = False
        self._hand_over()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def submit(
        self,
        task: Task[Result],
        work: Work = ONE_ROW,
        arrived: float | None = None,
        in_loop: bool = False,
        begins_in_loop: bool = False,
    ) -> "asyncio.Future[tuple[Result, Timing]]":
        """Queues a task, which is admitted as so much `work`.

        With `in_loop` all of it but the calls of the model is run by the event loop: for tasks that have little to do
        there, and so leave the engine's own thread the less to do between two calls. With `begins_in_loop` so is what
        comes before its first call, and that call, too, where it is quick as nothing has to be run for it.

        Its future holds its result and where the time went. Raises Overloaded before any work if too much is waiting.
        Cancelling the future ends the task at the next turn; one that is not done in time, counted from when it
        `arrived` by the monotonic clock, ends with DeadlineExceeded.
        """
        future: asyncio.Future[tuple[Result, Timing]] = asyncio.get_running_loop().create_future()
        job = Job(task, work, time.monotonic() if arrived is None else arrived, future, in_loop)
        self._admit(work)
        if not in_loop:
            future.add_done_callback(self._free_rows)
        if self._begins(job, begins_in_loop):
            with self._lock:
                # Once for all that comes in a turn of this loop; another's turn may never come, if it was closed.
                is_first = not self._fresh or self._fresh[-1].loop is not job.loop
                self._fresh.append(job)
            if is_first:
                job.loop.call_soon(self._hand_over)
        return future

    def _begins(self, job: Job[Any], in_loop: bool) -> bool:
        """Does what is done here of a job before it is queued; False where that was all of it."""
        if not job.in_loop and not in_loop:
            return True
        if not self._goes_on(job, None):
            return False
        if not in_loop or not job.call or not job.call.is_quick:
            return True
        with torch.inference_mode():
            ended = self._turns.run_known(job)
        if ended:
            ended.tell()
        return ended is None

    def _free_rows(self, future: "asyncio.Future[Any]") -> None:
        if future.cancelled():
            self._turns.interrupt.ask()

    def _admit(self, work: Work) -> None:
        with self._lock:
            if self._closing or not self.alive:
                raise NotReady(STOPPING)
            try:
                self._admission.enter(work)
            except Overloaded:
                self._telemetry.work_ends["refused"].inc()
                raise

    def _hand_over(self) -> None:
        """Hands over what is fresh, after the event loop's turn: all that came in together shares the engine's turn.

        One by one the first would have a turn to itself, and the engine would ask for the interpreter in between.
        """
        with self._lock:
            fresh, self._fresh = self._fresh, []
            run_here = self._can_run_here(fresh)
            if not run_here:
                self._put(fresh)
        if run_here:
            try:
                self._run_here(fresh[0])
            finally:
                self._running.release()

    def _put(self, jobs: Iterable[Job[Any]]) -> None:
        """Puts jobs where the thread finds them; with the lock, as it may be about to end."""
        for job in jobs:
            if self._closed:
                job.loop.call_soon_threadsafe(self._turns.end(job, "failed", error=NotReady(STOPPING)).tell)
            else:
                self._inbox.put(job)
        self._turns.interrupt.ask()

    def _can_run_here(self, fresh: Sequence[Job[Any]]) -> bool:
        """Whether it is a lone keystroke and the engine sleeps, which it then does until `_running` is released."""
        if len(fresh) != 1 or not fresh[0].in_loop or self._closing:
            return False
        if not fresh[0].call or fresh[0].call.kind != "step" or fresh[0].loop is not asyncio.get_running_loop():
            return False
        return self._inbox.empty() and self._running.acquire(blocking=False)

    def _run_here(self, job: Job[Any]) -> None:
        """Runs a job in this thread; what it needs beyond some calls is left to the engine's.

        That one is there to take it even if the engine closes meanwhile: it ends only with `_running` in its own hands.
        """
        self._turns.line_up(job)
        with torch.inference_mode():
            for _ in range(CALLS_ALONE):
                if not self._turns.waiting_for("step"):
                    break
                self._turns.run_next("step")
                answered, ended = self._turns.told()
                tell(ended)
                for each, result in answered:
                    if self._goes_on(each, result):
                        self._turns.line_up(each)
        for each in self._turns.take_all():
            self._inbox.put(each)

    def _take_back(self, answered: Sequence[Answered], ended: Sequence[Ended]) -> None:
        """What the thread hands to an event loop: jobs whose tasks go on here, and jobs that have ended."""
        tell(ended)
        going_on = [job for job, result in answered if self._goes_on(job, result)]
        if going_on:
            with self._lock:
                self._put(going_on)

    def _goes_on(self, job: Job[Any], result: Any) -> bool:
        """Brings a job on in its event loop; False where that is its end, which is told."""
        ended = self._turns.end(job, "cancelled") if job.future.cancelled() else self._turns.bring_on(job, result)
        if ended:
            ended.tell()
        return ended is None

    # ---- the engine's thread ----

    def _work(self) -> None:
        try:
            with torch.inference_mode(), self._running:
                while self._take_waiting():
                    self._turn()
                    self._deliver()
        finally:
            self.alive = False

    def _take_waiting(self) -> bool:
        """Takes all jobs that wait, sleeping only where there is nothing to do; False when the engine is closed."""
        self._take_arrived()
        while not self._turns.any_waiting():
            self._deliver()
            if self._closing and self._is_done():
                return False
            if job := self._sleep():
                self._turns.begin(job)
            self._take_arrived()
        return True

    def _is_done(self) -> bool:
        with self._lock:
            self._closed = self._inbox.empty()
        return self._closed

    def _sleep(self) -> Job[Any] | None:
        self._running.release()
        try:
            return self._inbox.get()
        finally:
            self._running.acquire()

    def _take_arrived(self) -> None:
        self._turns.interrupt.withdraw()  # before they are taken, as others may come meanwhile
        with contextlib.suppress(queue.Empty):
            while True:
                if job := self._inbox.get_nowait():
                    self._turns.begin(job)

    def _turn(self) -> None:
        """A call of each kind for which there is work; keystrokes, which are short, have theirs before every other.

        So do those who came during that one, and reviews that begin, whose first call is as short.
        """
        for kind in LONGER:
            self._run("step")
            if self._turns.waiting_for(kind):
                self._take_arrived()
                self._run("step")
                self._run(kind)
                self._take_arrived()

    def _run(self, kind: Kind) -> None:
        self._turns.run_next(kind)
        self._deliver()  # at once, so that the event loop answers while the next call runs

    def _deliver(self) -> None:
        """Hands what there is to the event loops of those who wait for it, all at once."""
        answered, ended = self._turns.told()
        for loop in {job.loop for job, _ in answered} | {each.job.loop for each in ended}:
            going_on = [(job, result) for job, result in answered if job.loop is loop]
            try:
                loop.call_soon_threadsafe(self._take_back, going_on, [each for each in ended if each.job.loop is loop])
            except RuntimeError:  # a loop that was closed has nobody waiting
                for job, _ in going_on:
                    self._turns.end(job, "cancelled")
