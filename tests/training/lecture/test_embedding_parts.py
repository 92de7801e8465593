"""The parts on embeddings and ratings, on a small corpus: what one leaves, the next one takes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from training.corpus import Split
from training.errors import TrainingError
from training.lecture import pretraining, rating, vectors
from training.lecture.part import Ground, Result

SECONDS = 1.0


@pytest.fixture(scope="module")
def ground(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    run = tmp_path_factory.mktemp("lecture")
    return Ground(corpus, run / "artifact", run)


@pytest.fixture(scope="module", autouse=True)
def small() -> Any:
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(vectors, "AT_LEAST", 2)
        changed.setattr(vectors, "ASKED", ("soup", "great", "platypus"))
        changed.setattr(pretraining, "SMALL", 50)
        changed.setattr(pretraining, "VALIDATED", 5)
        yield


@pytest.fixture(scope="module")
def results(ground: Ground) -> dict[str, Result]:
    with pytest.raises(TrainingError, match="run the part that makes them first"):
        pretraining.pretraining(ground, SECONDS)
    parts = {"skip-gram": vectors.skip_gram, "ranking": vectors.ranking, "pretraining": pretraining.pretraining}
    return {name: part(ground, SECONDS) for name, part in parts.items()}


@pytest.mark.parametrize(("name", "models"), [("skip-gram", 2), ("ranking", 1)])
def test_vectors_are_trained_and_asked(results: dict[str, Result], name: str, models: int) -> None:
    (section,) = results[name].sections
    training, neighbours, analogies = section.tables
    assert len(training.rows) == models
    assert all(len(row) == len(training.columns) for row in training.rows)
    assert [row[0] for row in neighbours.rows] == ["soup", "great"]  # nobody knows the third
    for row in neighbours.rows:
        assert all(len(cell.split(", ")) == vectors.NEIGHBOURS for cell in row[1:])
    assert analogies.rows[-1][0] == "all"
    assert [row[1] for row in analogies.rows[:-1]].count("0") > 3  # few of the pairs are in made-up reviews
    (plot,) = section.plots
    assert {kind: len(points) for kind, points in plot.series.items()} == {k: len(w) for k, w in plot.labels.items()}
    assert plot.labels["praise"] == ["great", "friendly", "perfect"]


def test_shares_of_true_windows_told_are_shown(results: dict[str, Result]) -> None:
    ((*_, any_word, word_of_the_text),) = results["ranking"].sections[0].tables[0].rows
    # How large they are depends on how far a second got; that they grow is tested where updates are counted.
    for share in (any_word, word_of_the_text):
        assert re.fullmatch(r"\d{1,3}\.\d%", share)
        assert 0 < float(share.rstrip("%")) <= 100


@pytest.mark.parametrize("name", [vectors.SKIP_GRAM_FILE, vectors.RANKING_FILE])
def test_vectors_of_the_tokens_of_the_text_are_left(
    results: dict[str, Result], ground: Ground, tokenizer: Tokenizer, name: str
) -> None:
    with np.load(ground.run / name) as arrays:
        words, found = arrays["words"].tolist(), arrays["vectors"]
    seen = np.unique(ground.split("train").tokens)
    assert words == [tokenizer.id_to_token(token) for token in seen]
    assert found.shape == (len(seen), vectors.SIZE)


def test_every_start_is_measured_both_ways_on_both_corpora(results: dict[str, Result]) -> None:
    (section,) = results["pretraining"].sections
    (table,) = section.tables
    assert table.columns[1:] == [
        f"{corpus}, {how}" for corpus in ("50 reviews", "all 200 reviews") for how in ("fine-tuned", "frozen")
    ]
    assert [row[0] for row in table.rows] == list(pretraining.STARTS)
    cells = [cell for row in table.rows for cell in row[1:]]
    assert len(cells) == 4 * len(pretraining.STARTS)
    perplexities = [float(found[1]) for cell in cells if (found := re.fullmatch(r"([\d.]+) \([\d.]+\)", cell))]
    assert len(perplexities) == len(cells)
    assert all(1 < each < 1500 for each in perplexities)


def test_a_smaller_corpus_has_the_first_reviews_and_all_that_are_measured(corpus: Path, tmp_path: Path) -> None:
    small = pretraining.first_reviews(corpus, 7, tmp_path / "small")
    whole, first = Split(corpus, "train"), Split(small, "train")
    assert len(first) == 7
    assert [first.tokens_of(r).tolist() for r in range(7)] == [whole.tokens_of(r).tolist() for r in range(7)]
    assert first.stars.tolist() == whole.stars[:7].tolist()
    for name in ("valid", "test"):
        assert Split(small, name).tokens.tolist() == Split(corpus, name).tokens.tolist()
    assert len(Split(pretraining.first_reviews(corpus, 10**6, tmp_path / "large"), "train")) == len(whole)


def measured_artifact(folder: Path, measured_on: str, rated_reviews: int) -> None:
    recognised = {"rated_reviews": rated_reviews, "ratings_as_in_training": 0.5489}
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(
        json.dumps(
            {
                "model": "lstm-1x2",
                "parameters": 12345,
                "training": {"seconds": 1234.0},
                "evaluation": {"measured_on": measured_on, "ratings": {"recognised": recognised}},
            }
        )
    )


def test_classifiers_stand_beside_the_language_model_that_read_the_same_reviews(ground: Ground, corpus: Path) -> None:
    stars = Split(corpus, "test").stars
    rated = int((stars > 0).sum())
    measured_artifact(ground.artifact, "the test reviews", rated)
    (section,) = rating.ratings(ground, SECONDS).sections
    (table,) = section.tables
    most, *classifiers, by_bayes = table.rows
    counts = np.bincount(Split(corpus, "train").stars, minlength=6)[1:]
    assert most[0] == f"always {counts.argmax() + 1} stars"
    assert most[-1] == f"{(stars == counts.argmax() + 1).sum() / rated:.1%}"
    assert [row[:2] for row in classifiers] == [
        [f"{kind} → fully connected", loss] for kind in ("tf-idf", "embedding") for loss in rating.LOSSES
    ]
    assert {row[2] for row in classifiers} == {
        f"{700 * 64 + 64 * 5 + 5:,}",
        f"{700 * 128 + 128 * 64 + 64 + 64 * 5 + 5:,}",
    }
    assert by_bayes == [
        "language model lstm-1x2, by Bayes",
        "cross entropy of the next token",
        "12,345",
        "1,234",
        "54.9%",
    ]
    assert f"the {rated} test reviews" in section.text


@pytest.mark.parametrize(("measured_on", "more"), [("mine.jsonl", 0), ("the test reviews", 1)])
def test_figures_of_other_reviews_are_not_compared(ground: Ground, measured_on: str, more: int) -> None:
    rated = int((ground.split("test").stars > 0).sum())
    measured_artifact(ground.artifact, measured_on, rated + more)
    assert rating._by_bayes(ground, rated) == []
