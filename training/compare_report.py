"""The table and the plot of what `compare` has measured."""

import os
from pathlib import Path
from typing import Any

from training.variants import BASE, VARIANTS, Variant, command_line

DOCUMENT = """\
# What each option of training does

Every row is the base network with one thing changed, trained for {budget} on one thread and measured on the first
{reviews} validation reviews. `python -m training compare` measures them and writes this page; the base is

```sh
python -m training train {base}{minutes}
```

θ is a weight, g its gradient, α the learning rate, λ the strength of a penalty, p the share dropped, ⊙ the element-wise
product. {caution}

![Perplexity of each option]({figure})

| option | formula | source | command line | perplexity per token | bits per character | tokens seen |
|---|---|---|---|---:|---:|---:|
{rows}
"""
CAUTION = """A short run favours what learns fast: regularisation, which only pays once a network begins to know its
training reviews by heart, looks worse here than it is, and so does whatever makes an update more expensive. Every
optimiser has its default learning rate; that of Adam and AdamW is meant for long runs, and a short one would rather
have twice as much."""


def write_document(path: Path, figure: Path, settings: dict[str, Any], results: dict[str, dict[str, Any]]) -> None:
    """Writes the table as Markdown; what has no result yet has a dash."""
    rows: list[str] = []
    group = ""
    for variant in VARIANTS:
        if variant.group != group:
            group = variant.group
            rows.append(f"| **{group}** | | | | | | |")
        rows.append(_row(variant, results.get(variant.name, {})))
    timed = "seconds" in settings
    path.write_text(
        DOCUMENT.format(
            budget=f"{settings['seconds']:g} seconds of processor time" if timed else f"{settings['tokens']:,} tokens",
            reviews=settings["reviews"],
            base=command_line(BASE),
            minutes=f" --minutes {settings['seconds'] / 60:.2f}" if timed else "",
            caution=CAUTION,
            figure=Path(os.path.relpath(figure, path.parent)).as_posix(),
            rows="\n".join(rows),
        )
    )


def _row(variant: Variant, result: dict[str, Any]) -> str:
    arguments = f"`{variant.arguments}`" if variant.changes else ""
    figures = ["–"] * 3
    if "failed" in result:
        figures = ["diverged", "–", "–"]
    elif result:
        figures = [
            f"{result['perplexity_per_token']:.1f}",
            f"{result['bits_per_character']:.3f}",
            f"{result['tokens']:,}",
        ]
    return f"| {' | '.join([variant.name, variant.formula, variant.source, arguments, *figures])} |"


def draw(path: Path, results: dict[str, dict[str, Any]]) -> None:
    """Draws the perplexity of every variant that has one, on a logarithmic axis, the base as a line."""
    from matplotlib.figure import Figure  # noqa: PLC0415 (slow to load, and only this needs it)
    from matplotlib.ticker import LogLocator, NullLocator  # noqa: PLC0415

    shown = [v for v in VARIANTS if "perplexity_per_token" in results.get(v.name, {})]
    values = [results[v.name]["perplexity_per_token"] for v in shown]
    groups = list(dict.fromkeys(v.group for v in shown))
    figure = Figure(figsize=(8, 1.2 + 0.26 * (len(shown) + len(groups))), layout="constrained")
    axes = figure.add_subplot()
    # A gap stands between one group and the next.
    heights = [place + groups.index(v.group) for place, v in enumerate(shown)]
    if shown and shown[0].group == "Base":
        axes.axvline(values[0], color="0.7", linewidth=1, zorder=0)
    axes.scatter(values, heights, color=[f"C{groups.index(v.group) % 10}" for v in shown], zorder=2)
    for value, height in zip(values, heights, strict=True):
        axes.annotate(f"{value:.0f}", (value, height), (7, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(heights, [f"{v.group}: {v.name}" for v in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.12, y=0.02)
    axes.set_xlabel("validation perplexity per token (less is better)")
    axes.grid(axis="x", color="0.92")
    axes.spines[["top", "right", "left"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
