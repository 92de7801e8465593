"""Ends a call of several steps that the model is in, because somebody has come, or gone, meanwhile."""

from array import array

import torch


class Interrupt:
    """A mark that any thread sets and that TorchScript reads between two steps.

    The memory is Python's own, so that setting it takes no call of torch: each of those gives the interpreter's lock
    away, and who wants it back beside a busy engine waits for it.
    """

    def __init__(self) -> None:
        self._mark = array("q", [0])
        self.mark = torch.frombuffer(self._mark, dtype=torch.int64)
        """One number `[1]`; other than 0 while it is asked for."""

    def ask(self) -> None:
        self._mark[0] = 1

    def withdraw(self) -> None:
        self._mark[0] = 0
