"""Training time, which every model of the comparison has the same of.

It is the processor's time, of all threads together, so that whatever else the machine does takes nothing away.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

clock = time.process_time


class TrainingTime:
    """A budget of `minutes`, of which the updates alone count: reading, validating and printing are free."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.seconds = minutes, 0.0

    @property
    def share(self) -> float:
        """How much of it is spent, 0 to 1."""
        return min(1.0, self.seconds / (60 * self.minutes))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the time that its block takes."""
        started = clock()
        yield
        self.seconds += clock() - started
