"""The parts that are made of an artifact."""

from pathlib import Path

import pytest

from tests.conftest import TinyRun
from training.evaluate import artifact_scorer, evaluate, measurable_split
from training.export import load_artifact, read_metrics
from training.lecture import measure
from training.lecture.embedding_map import embedding_map
from training.lecture.neural_models import shipped
from training.lecture.part import Ground


@pytest.fixture
def ground(tiny_run: TinyRun, tmp_path: Path) -> Ground:
    return Ground(tiny_run.corpus, tiny_run.artifact, tmp_path)


def test_the_shipped_network_is_measured_without_ratings(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "NEXT_WORD_REVIEWS", 1)
    (row,) = shipped(ground, seconds=0).rows
    module, tokenizer = load_artifact(ground.artifact)
    told, hidden = (
        evaluate(artifact_scorer(module), measurable_split(ground.split("test"), tokenizer, rated)).token_perplexity
        for rated in (True, False)
    )
    assert row.perplexity_per_token == pytest.approx(hidden, abs=1e-3) != pytest.approx(told, abs=1e-3)
    metrics = read_metrics(ground.artifact)
    assert row.seconds == pytest.approx(metrics["training"]["seconds"], abs=0.1)
    assert (row.tokens, row.parameters) == (metrics["training"]["tokens"], metrics["parameters"])


def test_a_map_names_frequent_words_and_no_parts_of_words(ground: Ground) -> None:
    (section,) = embedding_map(ground, seconds=0).sections
    (plot,) = section.plots
    words = plot.labels["words"]
    assert len(words) == len(set(words)) == len(plot.series["words"]) > 20
    text = "\n".join(ground.tokenizer.decode(ground.split("train").tokens_of(n).tolist()) for n in range(300))
    assert all(f" {word}" in text and len(word) >= 4 for word in words)
