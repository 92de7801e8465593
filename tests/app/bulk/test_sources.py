"""Files that go in are cut into parts anywhere, and read in their order; damaged rows keep their places."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from app.bulk.sources import Row, files_of, parts_of, read_part
from app.errors import StartupError

TEXTS = [f"The soup was {word}." for word in ("hot", "cold", "salty", "gone", "back", "ours", "theirs")]
STARS = [5, 1, None, 2, 3, 4, 5]


def write_parquet(path: Path, group_rows: int) -> Path:
    table = pyarrow.table({"id": range(7), "text": TEXTS, "stars": STARS})
    pyarrow.parquet.write_table(table, path, row_group_size=group_rows)
    return path


def write_lines(path: Path) -> Path:
    rows = [{"id": place, "text": text, "stars": STARS[place]} for place, text in enumerate(TEXTS)]
    path.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


@pytest.mark.parametrize("part_rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("group_rows", [1, 3, 100, None])
def test_every_row_is_in_one_part_and_in_its_order(tmp_path: Path, part_rows: int, group_rows: int | None) -> None:
    path = write_parquet(tmp_path / "in.parquet", group_rows) if group_rows else write_lines(tmp_path / "in.jsonl")
    parts = parts_of([path], ["text", "stars", "id"], part_rows)
    rows, ids = list[Row](), list[int]()
    for part in parts:
        own, kept = read_part(part, "text", "stars", ["id"])
        assert len(own) == part.stop - part.start == kept.num_rows <= part_rows
        rows += own
        ids += map(int, kept["id"].to_pylist())
    assert rows == [Row(*pair) for pair in zip(TEXTS, STARS, strict=True)]
    assert ids == [*range(7)]


def test_rows_are_counted_over_all_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        write_lines(tmp_path / name)
    (tmp_path / "_run.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("no reviews")
    parts = parts_of(files_of([tmp_path]), ["text"], 4)
    assert [(Path(part.path).name, part.start, part.stop, part.first) for part in parts] == [
        *[("a.jsonl", 0, 4, 0), ("a.jsonl", 4, 7, 4)],
        *[("b.jsonl", 0, 4, 7), ("b.jsonl", 4, 7, 11)],
    ]
    assert [part.number for part in parts] == [0, 1, 2, 3]


def test_a_damaged_line_costs_that_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = [b'{"text": "a"}', b"{", b"\xff", b"[1]", b'{"x": 1}', b"9" * 5000, b'{"text": "\\ud800", "x": "\\ud800"}']
    path.write_bytes(b"\n".join(lines))
    (part,) = parts_of([path], ["text"], 10)
    rows, kept = read_part(part, "text", None, ["x"])
    assert [row.damage for row in rows] == [None, "not JSON", "not UTF-8", "not a JSON object", None, "not JSON", None]
    assert [row.text for row in rows] == ["a", None, None, None, None, None, "\ud800"]
    assert kept["x"].to_pylist() == [None, None, None, None, "1", None, "?"]


def test_text_that_is_not_utf_8_costs_that_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    texts = pyarrow.array([b"good", b"\xff"], pyarrow.binary()).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path)
    (part,) = parts_of([path], ["text"], 10)
    rows, _ = read_part(part, "text", None, [])
    assert rows == [Row("good"), Row(damage="not UTF-8")]


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("in.csv", b"5,good", "unpack or convert"),
        ("in.parquet", b"no Parquet", "cannot be read as Parquet"),
        ("in.jsonl", b"no JSON\n", "first line is not JSON"),
        ("in.jsonl", b'{"review": "good"}\n', "no column text, only review"),
        ("in.jsonl", b"\n \n", "is empty"),
    ],
)
def test_a_file_that_is_not_meant_is_refused_with_advice(
    tmp_path: Path, name: str, content: bytes, advice: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StartupError, match=advice):
        parts_of(files_of([tmp_path / name]), ["text"], 10)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="There is no file"):
        files_of([tmp_path / "in.parquet"])
    with pytest.raises(StartupError, match=r"holds no \.parquet"):
        files_of([tmp_path])
