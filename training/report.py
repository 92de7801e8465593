"""Pictures of what was measured, drawn from an artifact's `metrics.json`: small PNG files for the README."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation_tables import MODEL
from training.export import read_metrics

SIZE = (6.0, 3.6)
"""Inches, of 100 dots each."""
COLOURS = ("#2a6f97", "#e07a5f", "#81a684", "#6d597a")
GREY = "#8d99ae"


def report(artifact: Path, destination: Path) -> list[Path]:
    """Draws all that `metrics.json` has figures for; returns the files written."""
    metrics = read_metrics(artifact)
    destination.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in PICTURES.items():
        if figure := draw(metrics):
            written.append(destination / f"{name}.png")
            figure.savefig(written[-1], dpi=100)
    return written


def training_curve(metrics: dict[str, Any]) -> Figure | None:
    """Bits per character on validation reviews, by the tokens trained on."""
    if not (curve := metrics.get("curve")):
        return None
    figure, axes = _picture("tokens trained on, millions", "bits per character", "Validation reviews during training")
    tokens = [point["tokens"] / 1e6 for point in curve]
    axes.plot(tokens, [point["valid_bits_per_character"] for point in curve], color=COLOURS[0], marker=".")
    axes.set_xlim(left=0)
    return figure


def reliability(metrics: dict[str, Any]) -> Figure | None:
    """How often the most probable next word came, by the probability it was given (DeGroot & Fienberg 1983)."""
    if not (models := _next_words(metrics)):
        return None
    figure, axes = _picture("probability of the first suggestion", "share that came next", "Reliability of next words")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect")
    for (name, figures), colour in zip(models.items(), COLOURS, strict=False):
        bins = figures["calibration"]
        label = f"{name}, expected error {figures['expected_calibration_error']:.3f}"
        points = [each["probability"] for each in bins], [each["came_true"] for each in bins]
        axes.plot(*points, color=colour, marker="o", label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False)
    return figure


def rank_histogram(metrics: dict[str, Any]) -> Figure | None:
    """Which place the next word had in the list of suggestions."""
    if not (models := _next_words(metrics)):
        return None
    figure, axes = _picture("rank of the word that came next", "share of all words, %", "Ranks of next words")
    width = 0.8 / len(models)
    for index, ((name, figures), colour) in enumerate(zip(models.items(), COLOURS, strict=False)):
        counts = [*figures["words_by_rank"], figures["words_beyond"]]
        places = [rank + (index - (len(models) - 1) / 2) * width for rank in range(1, len(counts) + 1)]
        axes.bar(places, [100 * count / figures["words"] for count in counts], width, color=colour, label=name)
    ranks = len(next(iter(models.values()))["words_by_rank"])
    axes.set_xticks(range(1, ranks + 2), [*map(str, range(1, ranks + 1)), "beyond"])
    axes.legend(frameon=False)
    return figure


def comparison(metrics: dict[str, Any]) -> Figure | None:
    """Bits per character of models that had the same reviews and the same time, if somebody compared them."""
    if not (models := metrics.get("comparison")):
        return None
    models = sorted(models, key=lambda model: float(model["bits_per_character"]), reverse=True)
    figure, axes = _picture("bits per character, less is better", "", "Trained on the same reviews for the same time")
    values = [model["bits_per_character"] for model in models]
    colours = [COLOURS[1] if model.get("ours") else COLOURS[0] for model in models]
    axes.bar_label(axes.barh([model["name"] for model in models], values, color=colours), fmt="%.3f", padding=3)
    axes.set_xlim(0, 1.15 * max(values))
    return figure


PICTURES: dict[str, Callable[[dict[str, Any]], Figure | None]] = {
    "curve": training_curve,
    "reliability": reliability,
    "ranks": rank_histogram,
    "comparison": comparison,
}
"""Each file's name, and what draws it, or None where nothing was measured."""


def _next_words(metrics: dict[str, Any]) -> dict[str, Any]:
    models = metrics.get("evaluation", {}).get("next_words", {})
    return {metrics["model"] if name == MODEL else name: figures for name, figures in models.items()}


def _picture(across: str, up: str, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
