"""A process that answers parts: its own model, its own engine, one file for each part."""

import asyncio
import math
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow
import pyarrow.parquet

from app.admission import Work
from app.bulk.answers import Unanswerable, ask, columns_of
from app.bulk.job import Done, Job, Part
from app.bulk.sources import Row, read_part
from app.engine import Engine
from app.language_model import load_language_model
from app.process import set_up_process

LANES = 64
"""Rows under way at once: one full call of the model, and the next one."""
CACHE_BYTES = 67_108_864
"""For states after prompts, which may begin alike."""


class Worker:
    """Answers one part after the other; may be called from any thread."""

    def __init__(self, job: Job) -> None:
        """Raises StartupError where the artifact is not there, or is another than the run began with."""
        # torch says so at its import, and nothing here needs any.
        warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
        set_up_process()
        self._job = job
        self._model = load_language_model(job.model_directory, CACHE_BYTES, job.model_sha256)
        self._engine = Engine(self._model, Work(sys.maxsize, sys.maxsize, sys.maxsize), math.inf)
        self._engine.start()

    def __call__(self, part: Part) -> Done:
        """Answers the rows of a part and writes them, whole or not at all."""
        job = self._job
        rows, kept = read_part(part, job.text_column, job.stars_column, job.keep)
        answers = asyncio.run(self._answer_all(rows, part.first))
        _write(job.output / part.name, self._table(part, kept, answers))
        errors = sum("error" in answer for answer in answers)
        return Done(part.number, len(rows), sum(answer.get("tokens", 0) for answer in answers), errors)

    def close(self) -> None:
        self._engine.close()

    async def _answer_all(self, rows: list[Row], first: int) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = [{}] * len(rows)
        # The longest first, so that rows of one length share a call and none is left running alone at the end.
        waiting = iter(sorted(range(len(rows)), key=lambda place: -len(str(rows[place].text))))
        await asyncio.gather(*(self._lane(rows, first, waiting, answers) for _ in range(LANES)))
        return answers

    async def _lane(self, rows: list[Row], first: int, waiting: Iterator[int], answers: list[dict[str, Any]]) -> None:
        for place in waiting:
            try:
                asked = ask(self._model, self._job, rows[place], first + place)
            except Unanswerable as error:
                answers[place] = {"error": str(error)}
            else:
                result, _ = await self._engine.submit(asked.task)
                answers[place] = asked.told(result)

    def _table(self, part: Part, kept: pyarrow.Table, answers: list[dict[str, Any]]) -> pyarrow.Table:
        columns = columns_of(self._job)
        whence = [
            pyarrow.repeat(part.path, len(answers)),
            pyarrow.array(range(part.start, part.stop), pyarrow.int64()),
        ]
        told = [
            pyarrow.array([answer.get(name) for answer in answers], kind)
            for name, kind in {**columns, "error": pyarrow.string()}.items()
        ]
        names = ["file", "row", *kept.column_names, *columns, "error"]
        table = pyarrow.table([*whence, *kept.columns, *told], names=names)
        return table.replace_schema_metadata({"model": self._model.name})


def _write(path: Path, table: pyarrow.Table) -> None:
    """Under a name of its own until it is whole, as another process may write the same part, with the same bits."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("wb") as file:
            pyarrow.parquet.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
