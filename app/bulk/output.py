"""The folder of results: what was asked for in `_run.json`, and a file for each part, which is whole if it is there.

So a run that was stopped or killed goes on with the parts that lack, and only the same run does.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.bulk.job import Job, Part
from app.errors import StartupError

RUN_FILE = "_run.json"
"""Readers of a folder of Parquet files pass over names that begin so."""


@contextmanager
def opened(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps other runs out of it; raises StartupError if there is one at work."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(f"Another run is writing to {folder}; wait for it, or name another folder.") from None
        yield
    finally:
        os.close(handle)


def missing(job: Job, parts: Sequence[Part], part_rows: int) -> list[Part]:
    """The parts that are not written yet; raises StartupError if what the folder holds is of another run."""
    _check_run(job, _description(job, parts, part_rows))
    for unfinished in job.output.glob(".part-*"):  # of a run that was killed
        unfinished.unlink(missing_ok=True)
    return [part for part in parts if not (job.output / part.name).exists()]


def _description(job: Job, parts: Sequence[Part], part_rows: int) -> dict[str, Any]:
    """What decides the results, and so has to be the same when a run goes on."""
    rows: dict[str, int] = {}
    for part in parts:
        rows[part.path] = part.stop
    files = [{"path": path, "rows": count, "bytes": Path(path).stat().st_size} for path, count in rows.items()]
    asked = {name: value for name, value in asdict(job).items() if name not in {"output", "model_directory"}}
    described: dict[str, Any] = json.loads(json.dumps({**asked, "part_rows": part_rows, "files": files}))
    return described


def _check_run(job: Job, described: dict[str, Any]) -> None:
    path = job.output / RUN_FILE
    if path.exists():
        before = json.loads(path.read_text())
        if different := sorted(name for name in before | described if before.get(name) != described.get(name)):
            raise StartupError(
                f"{job.output} holds a run with other {', '.join(different)} (see {path}); "
                "give what it was begun with, or name another folder."
            )
    elif any(job.output.glob("part-*.parquet")):
        raise StartupError(f"{job.output} holds part files, but no {RUN_FILE}; name another folder.")
    else:
        unfinished = path.with_name(".run.unfinished")
        unfinished.write_text(json.dumps(described, indent=1) + "\n")
        unfinished.replace(path)
