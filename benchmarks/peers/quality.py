"""How good the models are that people would serve instead, beside what a token of each takes."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.metrics_file import read_metrics
from benchmarks.peers.peers import OURS
from benchmarks.peers.tables import NOTHING, Results, Rounds, number
from benchmarks.quality.results import LABELS, comparison, read_results
from benchmarks.servers import ROOT


def quality_table(folder: Path, results: Results) -> str:
    """Of what `benchmarks.quality` left in a folder, or else in the artifact; and the artifact itself."""
    metrics = read_metrics(ROOT / "model") or {}
    compared = comparison(read_results(folder)) if any(folder.glob("*.json")) else metrics.get("comparison", [])
    tables = 2 * metrics["network"]["ngrams"] * metrics["network"]["ngram_size"]  # of pairs and of triples
    shipped = {
        "name": "**the shipped model**, trained for longer",
        **metrics["quality"]["test"]["int8"],
        "parameters": metrics["parameters"] - tables,
        "looked_up": tables,
        "minutes": metrics["training"]["minutes"],
    }
    next_words = metrics["evaluation"]["next_words"]
    top_three = {OURS: next_words["model"], "kneser-ney": next_words["Kneser–Ney 5-gram"]}
    names = {label.replace("`", ""): name for name, label in LABELS.items() if name != OURS}
    lines = [
        "| | bits per character | next word in the top 3 | parameters | looked up | minutes | ms per token |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in [*compared, shipped]:
        name = OURS if each is shipped else names.get(each["name"], "")
        lines.append(_row(each, top_three.get(name), results.get(name, [])))
    return "\n".join(lines)


def _row(each: dict[str, Any], predicted: dict[str, Any] | None, served: Rounds) -> str:
    cells = [
        each["name"],
        f"{each['bits_per_character']:.3f}",
        f"{predicted['top_3_accuracy']:.1%}" if predicted else NOTHING,
        f"{each['parameters'] / 1e6:.1f} M",
        f"{each['looked_up'] / 1e6:.1f} M",
        f"{each['minutes']:.1f}",
        _milliseconds(served),
    ]
    return f"| {' | '.join(cells)} |"


def _milliseconds(rounds: Sequence[dict[str, Any]]) -> str:
    rates = [each["generate-1"]["tokens_per_second"] for each in rounds]
    return number(1000 / statistics.median(rates)) if rates else NOTHING
