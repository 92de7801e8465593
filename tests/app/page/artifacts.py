"""Artifacts whose metrics.json a test decides: the shipped model beside other figures."""

import json
import os
from pathlib import Path
from typing import Any

from tests.app.support import ARTIFACT

QUALITY = {"bits_per_character": 1.25, "perplexity_per_word": 60.5, "perplexity_per_token": 44.25, "reviews": 400}
RUNS = {"median": 4.0, "percentile_90": 6.0, "percentile_99": 9.0, "longest": 12}
TEXTS = {"distinct_1": 0.1, "distinct_2": 0.4, "distinct_3": 0.7, "self_bleu_4": 0.5, "longest_shared_run": RUNS}


def _next_words(top_1: float) -> dict[str, Any]:
    return {
        "reviews": 400,
        "words": 1000,
        "bits_per_character": 1.25,
        "top_1_accuracy": top_1,
        "top_3_accuracy": 0.41,
        "top_5_accuracy": 0.47,
        "mean_reciprocal_rank_at_10": 0.345,
        "keystroke_savings": 0.452,
        "words_by_rank": [250, 100, 60, 40, 30, 20, 15, 10, 8, 7],
        "words_beyond": 460,
        "expected_calibration_error": 0.0123,
        "calibration": [
            {"places": 900, "probability": 0.08, "came_true": 0.09},
            {"places": 100, "probability": 0.85, "came_true": 0.81},
        ],
    }


FULL: dict[str, Any] = {
    "evaluation": {
        "measured_on": "the test reviews",
        "ratings_told": True,
        "ratings": {
            "told": QUALITY,
            "hidden": QUALITY | {"bits_per_character": 1.26},
            "by_stars": {str(n): {"told": QUALITY, "hidden": QUALITY} for n in range(1, 6)},
            "recognised": {
                "rated_reviews": 350,
                "every_rating_alike": 0.61,
                "ratings_as_in_training": 0.64,
                "always_the_most_frequent": 0.42,
            },
        },
        "next_words": {"model": _next_words(0.25), "Kneser–Ney 5-gram": _next_words(0.21)},
        "writing": {
            "sampling": {"temperature": 0.8, "top_p": 0.95, "max_tokens": 150, "seed": 1},
            "distinct_of_words": 300,
            "generated": TEXTS | {"reviews": 64, "words": 5000},
            "real": TEXTS | {"reviews": 65, "words": 5100},
        },
    },
    "comparison": [{"name": "gzip", "bits_per_character": 2.9}, {"name": "bigrams", "bits_per_character": 2.1}],
    "later": {"figures": ["that nobody knows yet"]},
}
"""What `evaluate --full` adds to a metrics.json, with figures made up."""


def artifact_with(directory: Path, metrics: str | None) -> Path:
    """A folder with the shipped model and this metrics.json, or none."""
    for name in ("language_model.pt", "vocab.json", "SHA256SUMS"):
        os.link(ARTIFACT / name, directory / name)
    if metrics is not None:
        (directory / "metrics.json").write_text(metrics)
    return directory


def full_metrics() -> str:
    return json.dumps(json.loads((ARTIFACT / "metrics.json").read_text()) | FULL)
