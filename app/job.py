"""Work in the engine's hands: a task with what it asks next, where its time goes, and who waits for its result."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic

from app.admission import Work
from app.batch import Progress
from app.calls import Result, Task, Timing


@dataclass(eq=False, slots=True)
class Job(Generic[Result]):
    task: Task[Result]
    work: Work
    arrived: float
    future: "asyncio.Future[tuple[Result, Timing]]"
    in_loop: bool = False
    """Whether the task itself is run by the event loop of its future, not by the engine's thread."""
    timing: Timing = field(default_factory=Timing)
    call: Progress | None = None
    begun: bool = False
    running: bool = False
    last_token: float = 0.0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.future.get_loop()


@dataclass(eq=False, slots=True)
class Ended:
    """A job that has its result, or why it has none."""

    job: Job[Any]
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        """Tells who waits for it; in the event loop of its future."""
        future = self.job.future
        if future.done():  # cancelled
            return
        if self.error is None:
            future.set_result((self.result, self.job.timing))
        else:
            future.set_exception(self.error)


def first_rows(line: deque[Job[Any]], most: int) -> list[Job[Any]]:
    """Takes the jobs of one turn out of the line: the first, and as many more as make `most` rows."""
    chosen: list[Job[Any]] = []
    rows = 0
    while line and line[0].call:
        rows += len(line[0].call.left)
        if chosen and rows > most:
            break
        chosen.append(line.popleft())
    return chosen


def tell(ended: Iterable[Ended]) -> None:
    for each in ended:
        each.tell()
