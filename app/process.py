"""What a process that runs an engine has set up before anything else."""

import sys

from app.memory import keep_freed_memory

SWITCH_SECONDS = 0.0001
"""How long the engine waits for the lock of a busy interpreter; by default it is fifty times that."""


def set_up_process() -> None:
    keep_freed_memory()
    sys.setswitchinterval(SWITCH_SECONDS)
