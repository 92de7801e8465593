"""What a run is to do, as every process of it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Command = Literal["score", "generate"]


@dataclass(frozen=True)
class Job:
    """`options` are fields of a /generate request; `seed` is that of the first row, the next row's is one more.

    `model_sha256` is the sum that the model file has on every machine.
    """

    command: Command
    output: Path
    model_directory: Path
    model_sha256: str
    text_column: str
    stars_column: str | None = None
    keep: tuple[str, ...] = ()
    tokens: bool = False
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows `start` to `stop` of a file, whose answers are one file of the output.

    `offset` is the byte at which they begin, in a file of lines; `first` counts the rows of all files before them.
    """

    number: int
    path: str
    start: int
    stop: int
    offset: int
    first: int

    @property
    def name(self) -> str:
        return f"part-{self.number:06d}.parquet"


@dataclass(frozen=True, slots=True)
class Done:
    """A part that is written: how many rows and tokens it has, and how many rows have an error."""

    number: int
    rows: int
    tokens: int
    errors: int
