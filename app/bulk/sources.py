"""The files that go in: Parquet, or JSON lines as Yelp has them, cut into parts that are read each by itself.

A row that is damaged is still a row, with the reason in place of its fields.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from app.bulk.job import Part
from app.errors import StartupError

LINES = {".json", ".jsonl"}
FORMATS = {".parquet", *LINES}
BATCH_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """What stands in the columns of a row that are read; `damage` says why they cannot be."""

    text: Any = None
    stars: Any = None
    damage: str | None = None


def files_of(inputs: Sequence[Path]) -> list[Path]:
    """The files that are meant, those of a folder by their names; raises StartupError where there are none."""
    files: list[Path] = []
    for path in inputs:
        inside = sorted(each for each in path.iterdir() if each.suffix in FORMATS) if path.is_dir() else [path]
        files += (each for each in inside if each.name[0] not in "._")  # notes and unfinished files, as Spark has them
    for path in files:
        if path.suffix not in FORMATS:
            raise StartupError(
                f"{path} is neither Parquet nor JSON lines (.parquet, .jsonl, .json); unpack or convert it."
            )
        if not path.is_file():
            raise StartupError(f"There is no file {path}.")
    if not files:
        raise StartupError(f"{inputs[0]} holds no .parquet, .jsonl or .json file.")
    return files


def parts_of(files: Sequence[Path], columns: Sequence[str], part_rows: int) -> list[Part]:
    """Cuts the files into parts of `part_rows` rows; raises StartupError if one has no such columns."""
    parts: list[Part] = []
    first = 0
    for path in files:
        bounds = _line_bounds(path, columns, part_rows) if path.suffix in LINES else _bounds(path, columns, part_rows)
        for start, stop, offset in bounds:
            parts.append(Part(len(parts), str(path), start, stop, offset, first + start))
        first += stop
    return parts


def _bounds(path: Path, columns: Sequence[str], part_rows: int) -> list[tuple[int, int, int]]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names, rows = file.schema_arrow.names, file.metadata.num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise StartupError(f"{path} cannot be read as Parquet: {error}.") from None
    _check_columns(path, columns, names)
    return [(start, min(start + part_rows, rows), 0) for start in range(0, rows, part_rows)] or _empty(path)


def _line_bounds(path: Path, columns: Sequence[str], part_rows: int) -> list[tuple[int, int, int]]:
    starts, offset, rows = list[int](), 0, 0
    with path.open("rb", buffering=1 << 20) as file:
        for line in file:
            if not line.isspace():
                if rows == 0:
                    _check_columns(path, columns, _first_fields(path, line))
                if rows % part_rows == 0:
                    starts.append(offset)
                rows += 1
            offset += len(line)
    places = range(0, rows, part_rows)
    return [(start, min(start + part_rows, rows), at) for start, at in zip(places, starts, strict=True)] or _empty(path)


def _first_fields(path: Path, line: bytes) -> Iterable[str]:
    record = _record(line)
    if isinstance(record, str):
        raise StartupError(f"{path} is not a file of JSON lines: its first line is {record}.")
    return record


def _check_columns(path: Path, columns: Sequence[str], names: Iterable[str]) -> None:
    for column in columns:
        if column not in names:
            raise StartupError(
                f"{path} has no column {column}, only {', '.join(names)}; "
                "name those to read with --text-column, --stars-column and --keep."
            )


def _empty(path: Path) -> list[tuple[int, int, int]]:
    raise StartupError(f"{path} is empty; leave it out.")


def read_part(
    part: Part, text_column: str, stars_column: str | None, keep: Sequence[str]
) -> tuple[list[Row], pyarrow.Table]:
    """The rows of a part, and their columns `keep` as they are; of JSON, texts and else what JSON writes."""
    if Path(part.path).suffix in LINES:
        return _read_lines(part, text_column, stars_column, keep)
    table = _read_table(part, list(dict.fromkeys([text_column, *filter(None, [stars_column]), *keep])))
    texts = _values(table[text_column])
    stars = _values(table[stars_column]) if stars_column else itertools.repeat((None, None))
    rows = [Row(text, rating, damage or other) for (text, damage), (rating, other) in zip(texts, stars, strict=False)]
    return rows, table.select(list(keep))


def _read_table(part: Part, columns: list[str]) -> pyarrow.Table:
    with pyarrow.parquet.ParquetFile(part.path) as file:
        groups, before, begin = list[int](), 0, 0
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if before + rows > part.start and before < part.stop:
                begin = begin if groups else before
                groups.append(group)
            before += rows
        pieces, at = [], begin
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns):
            low, high = max(part.start - at, 0), min(part.stop - at, batch.num_rows)
            if low < high:
                pieces.append(batch.slice(low, high - low))
            at += batch.num_rows
            if at >= part.stop:
                break
    return pyarrow.Table.from_batches(pieces)


def _values(column: pyarrow.ChunkedArray) -> Iterator[tuple[Any, str | None]]:
    for scalar in column:
        try:
            yield scalar.as_py(), None
        except UnicodeDecodeError:
            yield None, "not UTF-8"


def _read_lines(
    part: Part, text_column: str, stars_column: str | None, keep: Sequence[str]
) -> tuple[list[Row], pyarrow.Table]:
    rows, kept = list[Row](), list[list[str | None]]()
    with Path(part.path).open("rb") as file:
        file.seek(part.offset)
        for line in itertools.islice((line for line in file if not line.isspace()), part.stop - part.start):
            record = _record(line)
            if isinstance(record, str):
                rows.append(Row(damage=record))
                kept.append([None] * len(keep))
            else:
                rows.append(Row(record.get(text_column), record.get(stars_column) if stars_column else None))
                kept.append([_told(record.get(name)) for name in keep])
    columns = [pyarrow.array(values, pyarrow.string()) for values in zip(*kept, strict=True)]
    return rows, pyarrow.table(columns, names=list(keep))


def _record(line: bytes) -> dict[str, Any] | str:
    """The object of a line, or what is wrong with it."""
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError):  # not only JSONDecodeError: a number may have too many digits for Python
        return "not JSON"
    return record if isinstance(record, dict) else "not a JSON object"


def _told(value: Any) -> str | None:
    text = value if isinstance(value, str | None) else json.dumps(value)
    return text if text is None else text.encode("utf-8", "replace").decode()
