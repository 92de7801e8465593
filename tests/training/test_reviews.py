import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.reviews import made_up_reviews, write_json_lines
from training.errors import TrainingError
from training.reviews import MAXIMUM_SHOWN, ReadingSummary, Review, read_reviews

REVIEWS = [
    Review("Loved it.\n\nTwice.", 5),
    Review('She said "wow", and I couldn\'t disagree — 10/10 ☕', 4),
    Review("Fine\\ish, I guess", 1),
]
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": lambda data: bytes(pyarrow.compress(data, codec="zstd", asbytes=True)),
}


def read(path: Path) -> tuple[list[Review], ReadingSummary]:
    summary = ReadingSummary()
    return list(read_reviews(path, summary, progress=False)), summary


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def json_lines() -> bytes:
    records = [{"review_id": "x", "stars": float(r.stars or 0), "text": r.text, "useful": 0} for r in REVIEWS]
    return "\n".join(json.dumps(record) for record in records).encode()


def csv_lines(labels: list[int]) -> bytes:
    texts = [review.text.replace("\n", "\\n").replace('"', '""') for review in REVIEWS]
    return "".join(f'"{label}","{text}"\n' for label, text in zip(labels, texts, strict=True)).encode()


def parquet(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


STARS = [review.stars for review in REVIEWS]
TEXTS = [review.text for review in REVIEWS]
UNRATED = [Review(review.text) for review in REVIEWS]
FORMATS: dict[str, tuple[bytes, list[Review]]] = {
    "yelp_academic_dataset_review.json": (json_lines(), REVIEWS),
    "review.jsonl": (json_lines(), REVIEWS),
    "yelp_review_full_csv/train.csv": (csv_lines([5, 4, 1]), REVIEWS),
    "yelp_review_polarity_csv/train.csv": (csv_lines([2, 2, 1]), UNRATED),
    "stars.parquet": (parquet({"text": TEXTS, "stars": STARS}), REVIEWS),
    "label.parquet": (parquet({"label": [4, 3, 0], "text": TEXTS}), REVIEWS),
    "polarity/label.parquet": (parquet({"label": [1, 1, 0], "text": TEXTS}), UNRATED),
    "text.parquet": (parquet({"text": TEXTS}), UNRATED),
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_reads_every_format_plain_and_compressed(tmp_path: Path, name: str, compression: str) -> None:
    data, expected = FORMATS[name]
    reviews, summary = read(written(tmp_path / (name + compression), COMPRESSIONS[compression](data)))
    assert reviews == expected
    assert summary == ReadingSummary(reviews=3)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_plain_text_has_a_review_a_line(tmp_path: Path, compression: str) -> None:
    data = COMPRESSIONS[compression]("Loved it.\r\n\n  I'd go again ☕\nlast".encode())
    reviews, _ = read(written(tmp_path / f"reviews.txt{compression}", data))
    assert reviews == [Review("Loved it."), Review("  I'd go again ☕"), Review("last")]


def test_a_compressed_file_may_have_several_members(tmp_path: Path) -> None:
    for name, compress in COMPRESSIONS.items():
        members = compress(b"one\n") + compress(b"two\n")
        assert read(written(tmp_path / f"reviews.txt{name}", members))[0] == [Review("one"), Review("two")]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    assert read(written(tmp_path / "reviews.txt", b"\xef\xbb\xbfHi"))[0] == [Review("Hi")]


def test_a_rating_may_be_unknown(tmp_path: Path) -> None:
    assert read(written(tmp_path / "r.json", b'{"text": "a", "stars": null}\n{"text": "b"}'))[0] == [
        Review("a"),
        Review("b"),
    ]
    columns = {"text": ["a", "b"], "label": [None, 4]}
    assert read(written(tmp_path / "r.parquet", parquet(columns)))[0] == [Review("a"), Review("b", 5)]


DAMAGED_LINES = [
    ("r.json", b'{"text": "cut off', "not JSON"),
    ("r.json", b"[" * 100_000, "not JSON"),
    ("r.json", b'{"text": "x", "stars": ' + b"1" * 5000 + b"}", "not JSON"),
    ("r.json", b'{"stars": 3}', "no `text` field"),
    ("r.json", b'"text"', "no `text` field"),
    ("r.json", b'{"text": 7}', "`text` is not a string"),
    ("r.json", b'{"text": " \\n"}', "empty text"),
    ("r.json", b'{"text": "half \\ud83d"}', "not Unicode text"),
    ("r.json", b'{"text": "latin \xe9"}', "not UTF-8"),
    ("r.json", b'{"text": "x", "stars": 0}', "the rating is not 1, 2, 3, 4 or 5"),
    ("r.json", b'{"text": "x", "stars": 6}', "the rating is not 1, 2, 3, 4 or 5"),
    ("r.json", b'{"text": "x", "stars": 4.5}', "the rating is not 1, 2, 3, 4 or 5"),
    ("r.json", b'{"text": "x", "stars": NaN}', "the rating is not 1, 2, 3, 4 or 5"),
    ("r.json", b'{"text": "x", "stars": true}', "the rating is not 1, 2, 3, 4 or 5"),
    ("r.json", b'{"text": "x", "stars": "5"}', "the rating is not 1, 2, 3, 4 or 5"),
    ("r.csv", b'"5","never closed', "not a CSV line"),
    ("r.csv", b'"5"', 'not two fields, `"label","text"`'),
    ("r.csv", b'"5","a","b"', 'not two fields, `"label","text"`'),
    ("r.csv", b"label,text", "the label is not a number"),
    ("r.csv", b'"' + b"5" * 5000 + b'","x"', "the label is not a number"),
    ("r.csv", b'"6","x"', "the rating is not 1, 2, 3, 4 or 5"),
    ("r.csv", b'"5",""', "empty text"),
    ("r.csv", b'"5","\xff"', "not UTF-8"),
    ("r.txt", b"\xff\xfe", "not UTF-8"),
]
GOOD_LINE = {"r.json": b'{"text": "good", "stars": 4}', "r.csv": b'"4","good"', "r.txt": b"good"}


@pytest.mark.parametrize(("name", "line", "reason"), DAMAGED_LINES)
def test_a_damaged_line_costs_itself_alone_and_is_named(tmp_path: Path, name: str, line: bytes, reason: str) -> None:
    good = GOOD_LINE[name]
    reviews, summary = read(written(tmp_path / name, b"\n".join([good, b"", line, good])))
    assert [review.text for review in reviews] == ["good", "good"]
    assert summary.reviews == 2
    assert summary.skipped == {reason: 1}
    assert summary.shown == [f"{name}, line 3: {reason}"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"text": ["good", None, "good"]}, "`text` is not a string"),
        ({"text": ["good", " ", "good"]}, "empty text"),
        ({"text": ["good"] * 3, "stars": [1, 0, 5]}, "the rating is not 1, 2, 3, 4 or 5"),
        ({"text": ["good"] * 3, "label": [0, 5, 4]}, "the rating is not 1, 2, 3, 4 or 5"),
        (
            {"text": pyarrow.array([b"good", b"\xff", b"good"]).cast(pyarrow.string(), safe=False)},
            "not UTF-8",
        ),
    ],
)
def test_a_damaged_row_of_parquet_costs_itself_alone(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    reviews, summary = read(written(tmp_path / "r.parquet", parquet(columns)))
    assert [review.text for review in reviews] == ["good", "good"]
    assert summary.skipped == {reason: 1}
    assert summary.shown == [f"r.parquet, line 2: {reason}"]


def test_all_damage_is_counted_and_the_first_of_it_shown(tmp_path: Path) -> None:
    path = written(tmp_path / "r.json", b'{"text": "good"}\n' + b"?\n" * 500)
    _, summary = read(path)
    assert summary.skipped == {"not JSON": 500}
    assert len(summary.shown) == MAXIMUM_SHOWN
    assert summary.shown[-1] == f"r.json, line {MAXIMUM_SHOWN + 1}: not JSON"


JUNK = bytes(range(256)) * 40
NO_REVIEWS = {
    "binary.json": JUNK,
    "binary.csv": JUNK,
    "binary.txt": b"\xff\n" * 100_000,
    "binary.parquet": JUNK,
    "binary.json.gz": JUNK,
    "binary.json.zst": JUNK,
    "binary.parquet.gz": gzip.compress(JUNK),
    "empty.json": b"",
    "blank.txt": b"\n\n  \n",
    "empty.parquet": parquet({"text": pyarrow.array([], pyarrow.string())}),
    "other.parquet": parquet({"body": ["x"], "stars": [5]}),
    "ratings of text.parquet": parquet({"text": ["x"], "stars": ["5"]}),
    "no text.json": b'{"name": "a business"}\n' * 200,
    "reviews.xml": b"<review/>",
    "reviews.gz": gzip.compress(b"x"),
    "reviews": b"x",
    "cut off.json.gz": gzip.compress(json_lines())[:60],
    "cut off.json.zst": COMPRESSIONS[".zst"](json_lines())[:60],
}


@pytest.mark.parametrize("name", NO_REVIEWS)
def test_a_file_of_something_else_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        read(written(tmp_path / name, NO_REVIEWS[name]))
    assert name in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_a_missing_file_is_refused_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"There is no file .*nowhere\.json"):
        read(tmp_path / "nowhere.json")


def test_a_file_without_reviews_is_given_up_early(tmp_path: Path) -> None:
    summary = ReadingSummary()
    path = written(tmp_path / "r.json", b"?\n" * 1000 + GOOD_LINE["r.json"])
    with pytest.raises(TrainingError, match="its first 100 records hold none"):
        next(read_reviews(path, summary, progress=False))
    assert summary.skipped.total() == 100


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_file_that_breaks_off_yields_what_it_has_and_then_fails(tmp_path: Path, compression: str) -> None:
    lines = b"".join(f"review number {number} of many\n".encode() for number in range(100_000))
    data = COMPRESSIONS[compression](lines)
    reviews = read_reviews(written(tmp_path / f"r.txt{compression}", data[:-50]), ReadingSummary(), progress=False)
    assert next(reviews) == Review("review number 0 of many")
    with pytest.raises(TrainingError, match="breaks off after"):
        list(reviews)


def test_reading_is_lazy_and_takes_no_more_memory_for_a_longer_file(tmp_path: Path) -> None:
    path = written(tmp_path / "r.txt", (b"A long review. " * 30 + b"\n") * 20_000)
    tracemalloc.start()
    try:
        reviews = read_reviews(path, ReadingSummary(), progress=False)
        next(reviews)
        with path.open("ab") as more:  # had the file been read whole, this would come too late
            more.write(b"A long review. And one more.\n")
        followed = sum(1 for review in reviews if review.text.startswith("A long review."))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert followed == 20_000
    assert peak < path.stat().st_size / 4


def test_made_up_reviews_are_read_as_written(tmp_path: Path) -> None:
    records = made_up_reviews(50, seed=3)
    reviews, _ = read(write_json_lines(tmp_path / "r.json", records))
    assert reviews == [Review(record["text"], record["stars"]) for record in records]
