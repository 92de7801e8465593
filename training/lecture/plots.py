"""Plots of the lecture's page, as PNG files."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from training.lecture.part import Plot
from training.report import GREY

SIZE = {"lines": (7.0, 4.2), "points": (8.0, 6.5)}
"""Inches, of 100 dots each."""
MARKERS = "os^Dvp"


def draw(plot: Plot, path: Path) -> None:
    """Draws the series of a plot; `path` ends in .png."""
    figure = Figure(figsize=SIZE[plot.kind], layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=plot.across, ylabel=plot.up, title=plot.title)
    axes.spines[["top", "right"]].set_visible(False)
    if plot.logarithmic:
        axes.set(xscale="log", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(color="0.92")
    for number, (name, points) in enumerate(plot.series.items()):
        colour, marker = f"C{number % 10}", MARKERS[number % len(MARKERS)]
        across, up = zip(*points, strict=True)
        if plot.kind == "lines":
            axes.plot(across, up, color=colour, marker=marker, markersize=4, label=name)
        else:
            axes.scatter(across, up, s=12, color=colour, marker=marker, label=name)
            _name(axes, points, plot.labels.get(name, []))
    if len(plot.series) > 1:
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _name(axes: Axes, points: list[tuple[float, float]], labels: list[str]) -> None:
    for point, label in zip(points, labels, strict=False):
        axes.annotate(label, point, (2, 2), textcoords="offset points", fontsize=7, color=GREY)
