import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from training.__main__ import main
from training.report import comparison, rank_histogram, reliability, report, training_curve


def next_words(ranks: list[int], beyond: int) -> dict[str, Any]:
    return {
        "words": sum(ranks) + beyond,
        "words_by_rank": ranks,
        "words_beyond": beyond,
        "expected_calibration_error": 0.0314,
        "calibration": [
            {"places": 90, "probability": 0.25, "came_true": 0.2},
            {"places": 10, "probability": 0.75, "came_true": 0.8},
        ],
    }


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {
        "model": "lstm-1",
        "curve": [
            {"tokens": 1_000_000, "valid_bits_per_character": 2.5},
            {"tokens": 3_000_000, "valid_bits_per_character": 2.0},
        ],
        "evaluation": {"next_words": {"model": next_words([30, 10], 60), "5-gram": next_words([20, 5], 25)}},
        "comparison": [
            {"name": "gzip", "bits_per_character": 2.9},
            {"name": "lstm-1", "ours": True, "bits_per_character": 1.3},
            {"name": "bigrams", "bits_per_character": 2.1},
        ],
    }


def axes_of(figure: Figure | None) -> Axes:
    assert figure
    (axes,) = figure.axes
    assert axes.get_title()
    assert axes.get_xlabel()
    return axes


def points(axes: Axes) -> list[Any]:
    return [np.asarray(line.get_xydata()).tolist() for line in axes.lines]


def test_the_curve_is_in_bits_over_tokens(metrics: dict[str, Any]) -> None:
    axes = axes_of(training_curve(metrics))
    assert points(axes) == [[[1, 2.5], [3, 2.0]]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("tokens trained on, millions", "bits per character")


def test_reliability_is_drawn_beside_the_diagonal(metrics: dict[str, Any]) -> None:
    axes = axes_of(reliability(metrics))
    assert points(axes) == [[[0, 0], [1, 1]], *[[[0.25, 0.2], [0.75, 0.8]]] * 2]
    legend = axes.get_legend()
    assert legend
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["perfect", "lstm-1, expected error 0.031", "5-gram, expected error 0.031"]


def test_ranks_are_shares_of_each_models_words(metrics: dict[str, Any]) -> None:
    axes = axes_of(rank_histogram(metrics))
    bars = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert bars == [[30, 10, 60], [40, 10, 50]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "beyond"]


def test_the_best_model_stands_on_top(metrics: dict[str, Any]) -> None:
    axes = axes_of(comparison(metrics))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gzip", "bigrams", "lstm-1"]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [bar.get_width() for bar in bars] == [2.9, 2.1, 1.3]
    assert len({bar.get_facecolor() for bar in bars}) == 2  # ours has its own colour


def test_pictures_are_small_files(metrics: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    written = report(tmp_path, tmp_path / "docs" / "figures")
    assert [path.name for path in written] == ["curve.png", "reliability.png", "ranks.png", "comparison.png"]
    for path in written:
        picture = path.read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (600, 360)
        assert 5_000 < len(picture) < 60_000


def test_what_was_not_measured_is_not_drawn(
    tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--artifact", str(tiny_artifact), "--destination", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]
    assert capsys.readouterr().out == f"Wrote {tmp_path / 'curve.png'}\n"


def test_without_an_artifact_there_is_nothing_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--artifact", str(tmp_path), "--destination", str(tmp_path)]) == 1
    assert "holds no metrics.json that can be read" in capsys.readouterr().err
