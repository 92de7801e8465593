"""Reading reviews: Yelp's own file formats, streamed, with every damaged line counted and named.

A file is read in the format its name says (`.json`/`.jsonl`, `.csv`, `.parquet`, `.txt`, each also with `.gz` or `.zst`
behind it). Nothing is ever held whole in memory, so a file of seven million reviews takes no more room than one of ten.
"""

import csv
import gzip
import io
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow
import pyarrow.parquet
import zstandard
from tqdm import tqdm

from training.errors import TrainingError

MAXIMUM_SHOWN = 20
"""Damaged lines that are shown with their number; the rest are only counted."""

RECORDS_BEFORE_REFUSAL = 100
"""A file whose first so many records are all damaged is no review file."""


@dataclass(frozen=True, slots=True)
class Review:
    """One review: its text as written, and its rating from 1 to 5, or None where the source has none."""

    text: str
    stars: int | None = None


class DamagedRecord(ValueError):
    """A record that holds no usable review; the message is the reason."""


@dataclass
class ReadingSummary:
    """What came of reading: counts for the user, and the first damaged lines with their reasons."""

    reviews: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def skip(self, path: Path, line: int, reason: str) -> None:
        self.skipped[reason] += 1
        if len(self.shown) < MAXIMUM_SHOWN:
            self.shown.append(f"{path.name}, line {line}: {reason}")


def read_reviews(path: Path, summary: ReadingSummary, progress: bool = True) -> Iterator[Review]:
    """Yields the reviews of one file, counting them and what was skipped in `summary`.

    Raises TrainingError if the file is missing, of a format not known here, or holds no reviews at all.
    """
    if not path.is_file():
        raise TrainingError(f"There is no file {path}; give the path of a file of reviews.")
    records = _format_of(path)
    reviews = skipped = 0
    with path.open("rb") as raw, _progress_bar(path, progress) as bar:
        counted = _CountingReader(raw, bar)
        try:
            for line, parse in records(_decompressed(path, counted), path):
                try:
                    review = parse()
                except DamagedRecord as damage:
                    skipped += 1
                    summary.skip(path, line, str(damage))
                    if reviews == 0 and skipped == RECORDS_BEFORE_REFUSAL:
                        raise _not_reviews(path, f"its first {skipped} records hold none ({damage})") from None
                else:
                    reviews += 1
                    summary.reviews += 1
                    yield review
        except (OSError, EOFError, zstandard.ZstdError, pyarrow.ArrowInvalid) as error:
            raise _not_reviews(path, f"reading it failed: {error}") from error
    if reviews == 0:
        raise _not_reviews(path, "it is empty" if skipped == 0 else f"all its {skipped} records are damaged")


def _not_reviews(path: Path, why: str) -> TrainingError:
    return TrainingError(
        f"{path} is not a file of reviews: {why}. Give Yelp's JSON lines (.json), the Yelp CSVs (.csv), "
        "Parquet with `text` and `stars` or `label` (.parquet), or plain text with a review a line (.txt)."
    )


# ---- the formats: each yields (line number, function that makes the review or raises DamagedRecord) ----

Parse = Callable[[], Review]


def _json_lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Parse]]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield number, lambda line=line: _from_json(line)  # type: ignore[misc]


def _from_json(line: bytes) -> Review:
    try:
        record = json.loads(_utf8(line))
    except (json.JSONDecodeError, RecursionError):
        raise DamagedRecord("not JSON") from None
    if not isinstance(record, dict) or "text" not in record:
        raise DamagedRecord("no `text` field")
    return Review(_text(record["text"]), _stars(record.get("stars")))


def _csv_lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Parse]]:
    # The Polarity labels 1 and 2 mean negative and positive, which is not a rating; the files differ in name alone.
    rated = "polarity" not in str(path.absolute()).lower()
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield number, lambda line=line: _from_csv(line, rated)  # type: ignore[misc]


def _from_csv(line: bytes, rated: bool) -> Review:
    # A record is one line, as Yelp's CSVs write line breaks as `\n`: an unclosed quote can then cost that line alone.
    try:
        fields = next(csv.reader([_utf8(line).rstrip("\r\n")], strict=True))
    except (csv.Error, StopIteration):
        raise DamagedRecord("not a CSV line") from None
    if len(fields) != 2:
        raise DamagedRecord('not two fields, `"label","text"`')
    label, text = fields
    if not label.isdecimal():
        raise DamagedRecord("the label is not a number")
    return Review(_text(text.replace("\\n", "\n")), _stars(int(label)) if rated else None)


def _plain_lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Parse]]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield number, lambda line=line: Review(_text(_utf8(line).rstrip("\r\n")))  # type: ignore[misc]


def _parquet_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Parse]]:
    with tempfile.TemporaryFile() as seekable:
        if not stream.seekable():  # Parquet is read from its end, which a compressed stream does not have
            shutil.copyfileobj(stream, seekable)
            stream = seekable
        table = pyarrow.parquet.ParquetFile(stream)
        names = table.schema_arrow.names
        rating = next((name for name in ("stars", "label") if name in names), None)
        if "text" not in names:
            raise _not_reviews(path, f"it has no column `text`, only {', '.join(names)}")
        # Hugging Face's Yelp sets count labels from 0; `stars` counts from 1 as Yelp itself does.
        shift = 1 if rating == "label" else 0
        rated = rating is not None and "polarity" not in str(path.absolute()).lower()
        number = 0
        for batch in table.iter_batches(batch_size=1024, columns=["text", *([rating] if rating else [])]):
            for row in batch.to_pylist():
                number += 1
                stars = row[rating] if rated and rating else None
                yield (
                    number,
                    lambda row=row, stars=stars: Review(  # type: ignore[misc]
                        _text(row["text"]), _stars(stars if stars is None else stars + shift)
                    ),
                )


_FORMATS: dict[str, Callable[[IO[bytes], Path], Iterator[tuple[int, Parse]]]] = {
    ".json": _json_lines,
    ".jsonl": _json_lines,
    ".csv": _csv_lines,
    ".txt": _plain_lines,
    ".parquet": _parquet_rows,
}
_COMPRESSIONS = (".gz", ".zst")


def _format_of(path: Path) -> Callable[[IO[bytes], Path], Iterator[tuple[int, Parse]]]:
    plain = path.with_suffix("") if path.suffix in _COMPRESSIONS else path
    if plain.suffix not in _FORMATS:
        raise TrainingError(
            f"{path.name} does not say its format; name the file .json, .jsonl, .csv, .parquet or .txt, "
            "or one of these with .gz or .zst behind it."
        )
    return _FORMATS[plain.suffix]


def _decompressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    if path.suffix == ".gz":
        return io.BufferedReader(_Unseekable(gzip.GzipFile(fileobj=raw)))
    if path.suffix == ".zst":
        return io.BufferedReader(_Unseekable(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)))
    return raw


# ---- the fields of a review ----


def _utf8(line: bytes) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DamagedRecord("not UTF-8") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DamagedRecord("`text` is not a string")
    if not value.strip():
        raise DamagedRecord("empty text")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell and UTF-8 cannot
        raise DamagedRecord("not Unicode text") from None
    return value


def _stars(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (1, 2, 3, 4, 5):
        raise DamagedRecord("the rating is not 1, 2, 3, 4 or 5")
    return int(value)


# ---- progress over the bytes of the file on disk, compressed or not ----


def _progress_bar(path: Path, shown: bool) -> Any:
    size = path.stat().st_size
    return tqdm(total=size, unit="B", unit_scale=True, desc=f"reading {path.name}", disable=None if shown else True)


class _CountingReader(io.BufferedReader):
    """A file that tells a progress bar how much of it was read."""

    def __init__(self, raw: IO[bytes], bar: Any) -> None:
        super().__init__(io.FileIO(raw.fileno(), closefd=False), buffer_size=1 << 20)
        self._bar = bar

    def __iter__(self) -> "_CountingReader":
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        self._bar.update(len(line))
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._bar.update(len(data))
        return data


class _Unseekable(io.RawIOBase):
    """A decompressed stream: read forward only, and said to be so."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data: bytes = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
