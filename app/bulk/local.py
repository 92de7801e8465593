"""Parts answered by processes of this machine."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from app.bulk.job import Done, Job, Part
from app.bulk.worker import Worker
from app.errors import StartupError

_workers: list[Worker] = []
"""This process's own."""


def run(job: Job, parts: Sequence[Part], workers: int) -> Iterator[Done]:
    """Yields each part as it is written; raises StartupError if a process was killed."""
    context = multiprocessing.get_context("spawn")  # a fork would share the locks of torch's threads
    pool = ProcessPoolExecutor(min(workers, len(parts)), context, _begin, (job,))
    try:
        for future in as_completed([pool.submit(_answer, part) for part in parts]):
            yield future.result()
    except BrokenProcessPool:
        raise StartupError(
            "A process of this run was killed, perhaps for want of memory; the same command goes on, "
            "and takes less memory with fewer --workers."
        ) from None
    finally:
        for process in multiprocessing.active_children():  # idle, or at a part that nobody waits for any more
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _begin(job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that leads
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _workers.append(Worker(job))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _answer(part: Part) -> Done:
    return _workers[0](part)
