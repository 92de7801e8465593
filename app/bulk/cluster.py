"""Parts answered by a Ray cluster: Ray Data gives them to as many workers as there are free cores.

What a part needs is on every machine under the same path: the input, the output, the artifact. Ray starts a worker
anew that was lost, and gives its part to another.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from app.bulk.job import Done, Job, Part
from app.bulk.worker import Worker
from app.errors import StartupError


class RayWorker:
    """A worker as Ray Data calls it: a part is a row of its data set, and so is what came of it."""

    def __init__(self, job: Job) -> None:
        self._worker = Worker(job)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return asdict(self._worker(Part(**row)))


def run(job: Job, parts: Sequence[Part], workers: int | None, address: str) -> Iterator[Done]:
    """Yields each part as it is written, by at most `workers` workers; raises StartupError if there is no cluster."""
    try:
        import ray  # noqa: PLC0415
        import ray.data  # noqa: PLC0415
    except ImportError:
        raise StartupError("--ray needs Ray; pip install 'review-lm[ray]', or leave it out.") from None
    try:
        ray.init(address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, ValueError) as error:
        raise StartupError(f"There is no Ray cluster at {address} ({error}); `ray start --head` begins one.") from None
    try:
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # the command line tells how far it is
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items([asdict(part) for part in parts], override_num_blocks=len(parts))
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=min(workers or len(parts), len(parts)))
        for row in rows.map(RayWorker, fn_constructor_args=(job,), compute=pool, num_cpus=1).iter_rows():
            yield Done(**row)
    finally:
        ray.shutdown()
