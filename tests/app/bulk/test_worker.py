"""A row of the results says what the API answers over HTTP, to the last bit."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from app.bulk.job import Job
from app.bulk.sources import parts_of
from app.bulk.worker import Worker
from app.errors import StartupError
from tests.app.random_artifact import SENTENCES
from tests.app.support import Server, running_server

TEXTS = [*SENTENCES, "The", *(" ".join(SENTENCES[place:]) for place in range(4)), "Don't wait, order the fish there."]
STARS = [None, *[1 + place % 5 for place in range(len(TEXTS) - 1)]]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, random_artifact: Path) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("api"), REVIEW_LM_MODEL_DIRECTORY=str(random_artifact)) as running:
        yield running


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": range(len(TEXTS)), "text": TEXTS, "stars": STARS}), path)
    return path


def answered(texts: Path, artifact: Path, part_rows: int = 1000, **asked: Any) -> list[dict[str, Any]]:
    """The rows that a worker writes of all parts."""
    sha256 = hashlib.sha256((artifact / "language_model.pt").read_bytes()).hexdigest()
    job = Job(output=texts.parent, model_directory=artifact, model_sha256=sha256, text_column="text", **asked)
    worker = Worker(job)
    rows: list[dict[str, Any]] = []
    for part in parts_of([texts], ["text"], part_rows):
        done = worker(part)
        table = pyarrow.parquet.read_table(texts.parent / part.name)
        assert table.schema.metadata[b"model"] == b"tiny-1"
        assert (done.rows, done.errors) == (table.num_rows, table.num_rows - table["error"].null_count)
        rows += table.to_pylist()
    worker.close()
    return rows


def test_scores_are_those_of_the_api(api: Server, texts: Path, random_artifact: Path) -> None:
    rows = answered(texts, random_artifact, 5, command="score", stars_column="stars", keep=("id",), tokens=True)
    assert [(row["row"], row["id"]) for row in rows] == [(place, place) for place in range(len(TEXTS))]
    for row, text, stars in zip(rows, TEXTS, STARS, strict=True):
        (score,) = api.post("/score", texts=[text], stars=stars, tokens=True)["scores"]
        assert {name: row[name] for name in score} == score


def test_reviews_are_those_of_the_api_with_the_seed_of_their_row(
    api: Server, texts: Path, random_artifact: Path
) -> None:
    options = {"max_tokens": 20, "temperature": 1.0, "top_p": 0.9, "stop": ["fish"]}
    rows = answered(texts, random_artifact, 5, command="generate", stars_column="stars", seed=70, options=options)
    assert [row["seed"] for row in rows] == [70 + place for place in range(len(TEXTS))]
    for row, prompt, stars in zip(rows, TEXTS, STARS, strict=True):
        (review,) = api.post("/generate", prompt=prompt, stars=stars, seed=row["seed"], **options)["reviews"]
        assert {name: row[name] for name in review} == review


def test_a_row_that_cannot_be_answered_says_why(tmp_path: Path, random_artifact: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "The", "stars": 5.0}\n{"text": ""}\n{"text": "The", "stars": 6}\n{"stars": 1}\n{\n')
    rows = answered(path, random_artifact, command="score", stars_column="stars")
    assert [row["error"] for row in rows] == [
        None,
        "text: String should have at least 1 character",
        "stars: Input should be less than or equal to 5",
        "text: Input should be a valid string",
        "not JSON",
    ]
    assert [row["perplexity"] is None for row in rows] == [False, True, True, True, True]


def test_another_model_than_the_run_began_with_is_refused(tmp_path: Path, random_artifact: Path) -> None:
    with pytest.raises(StartupError, match="SHA-256"):
        Worker(Job("score", tmp_path, random_artifact, "0" * 64, "text"))
