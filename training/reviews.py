"""Reading reviews: Yelp's own file formats, streamed, with every damaged line counted and named.

A file is read in the format its name says (`.json`/`.jsonl`, `.csv`, `.parquet`, `.txt`, each also with `.gz` or `.zst`
behind it). Nothing is ever held whole in memory, so a file of seven million reviews takes no more room than one of ten.
"""

import csv
import io
import itertools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow
import pyarrow.parquet
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

    Raises TrainingError if the file is missing, of a format not known here, cut off, or holds no reviews at all.
    """
    if not path.is_file():
        raise TrainingError(f"There is no file {path}; give the path of a file of reviews.")
    records = _format_of(path)
    reviews = skipped = 0
    with path.open("rb", buffering=1 << 20) as raw, _progress_bar(path, progress) as bar:
        try:
            for line, parse in records(_decompressed(path, raw), path):
                bar.update(raw.tell() - bar.n)
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
        except (OSError, pyarrow.ArrowException) as error:
            if reviews:
                raise TrainingError(f"{path} breaks off after {reviews:,} reviews ({error}); give it whole.") from error
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
            yield number, partial(_from_json, line)


def _from_json(line: bytes) -> Review:
    text = _utf8(line)
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):  # not only JSONDecodeError: a number may have too many digits for Python
        raise DamagedRecord("not JSON") from None
    if not isinstance(record, dict) or "text" not in record:
        raise DamagedRecord("no `text` field")
    return Review(_text(record["text"]), _stars(record.get("stars")))


def _csv_lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Parse]]:
    rated = not _is_polarity(path)
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield number, partial(_from_csv, line, rated)


def _from_csv(line: bytes, rated: bool) -> Review:
    # A record is one line, as Yelp's CSVs write line breaks as `\n`: an unclosed quote can then cost that line alone.
    try:
        fields = next(csv.reader([_utf8(line).rstrip("\r\n")], strict=True))
    except (csv.Error, StopIteration):
        raise DamagedRecord("not a CSV line") from None
    if len(fields) != 2:
        raise DamagedRecord('not two fields, `"label","text"`')
    try:
        label = int(fields[0])
    except ValueError:
        raise DamagedRecord("the label is not a number") from None
    return Review(_text(fields[1].replace("\\n", "\n")), _stars(label) if rated else None)


def _plain_lines(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Parse]]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield number, partial(_from_plain, line)


def _from_plain(line: bytes) -> Review:
    return Review(_text(_utf8(line).rstrip("\r\n")))


def _parquet_rows(stream: IO[bytes], path: Path) -> Iterator[tuple[int, Parse]]:
    with tempfile.TemporaryFile() as copy:
        if path.suffix in _COMPRESSIONS:  # Parquet is read from its end, where a compressed stream cannot start
            shutil.copyfileobj(stream, copy)
        table = pyarrow.parquet.ParquetFile(copy if path.suffix in _COMPRESSIONS else stream)
        names = table.schema_arrow.names
        if "text" not in names:
            raise _not_reviews(path, f"it has no column `text`, only {', '.join(names)}")
        ratings = [name for name in ("stars", "label") if name in names and not _is_polarity(path)][:1]
        numbers = itertools.count(1)
        for batch in table.iter_batches(batch_size=1024, columns=["text", *ratings]):
            for row in range(batch.num_rows):
                yield next(numbers), partial(_from_row, batch, row, *ratings)


def _from_row(batch: pyarrow.RecordBatch, row: int, rating: str | None = None) -> Review:
    try:
        text = batch["text"][row].as_py()
    except UnicodeDecodeError:
        raise DamagedRecord("not UTF-8") from None
    # Hugging Face's Yelp sets count labels from 0; `stars` counts from 1 as Yelp itself does.
    stars = batch[rating][row].as_py() if rating else None
    return Review(_text(text), _stars(stars, lowest=0 if rating == "label" else 1))


def _is_polarity(path: Path) -> bool:
    # The Polarity labels mean negative and positive, which is no rating; their files differ from Full's in name alone.
    return "polarity" in str(path.absolute()).lower()


_FORMATS: dict[str, Callable[[IO[bytes], Path], Iterator[tuple[int, Parse]]]] = {
    ".json": _json_lines,
    ".jsonl": _json_lines,
    ".csv": _csv_lines,
    ".txt": _plain_lines,
    ".parquet": _parquet_rows,
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def _format_of(path: Path) -> Callable[[IO[bytes], Path], Iterator[tuple[int, Parse]]]:
    plain = path.with_suffix("") if path.suffix in _COMPRESSIONS else path
    if plain.suffix not in _FORMATS:
        raise TrainingError(
            f"{path.name} does not say its format; name the file .json, .jsonl, .csv, .parquet or .txt, "
            "or one of these with .gz or .zst behind it."
        )
    return _FORMATS[plain.suffix]


def _decompressed(path: Path, raw: IO[bytes]) -> IO[bytes]:
    if path.suffix not in _COMPRESSIONS:
        return raw
    # Arrow's streams tell a file that was cut off from one that ended, which not every reader of .zst does.
    return io.BufferedReader(pyarrow.CompressedInputStream(raw, _COMPRESSIONS[path.suffix]))


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


def _stars(value: Any, lowest: int = 1) -> int | None:
    """Returns a rating from 1 to 5 of a source whose worst rating is `lowest`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value - lowest not in range(5):
        raise DamagedRecord("the rating is not 1, 2, 3, 4 or 5")
    return int(value) - lowest + 1


def _progress_bar(path: Path, shown: bool) -> Any:
    """A bar over the bytes of the file on disk, compressed or not."""
    size = path.stat().st_size
    return tqdm(total=size, unit="B", unit_scale=True, desc=f"reading {path.name}", disable=None if shown else True)
