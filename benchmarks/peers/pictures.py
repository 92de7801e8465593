"""The figures of all rounds as pictures: medians, and lines from the smallest to the largest round."""

import statistics
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.peers.measure import CLIENTS
from benchmarks.peers.peers import PEERS
from benchmarks.peers.tables import Column, Results, number
from benchmarks.servers import SERVICE

OURS_COLOUR, OTHER_COLOUR = "tab:blue", "tab:gray"
Bars = dict[str, tuple[str, ...]]
TYPING: Bars = {
    "typing, requests/s": ("typing", "requests_per_second"),
    "unrelated contexts, requests/s": ("unrelated", "requests_per_second"),
}
WAITING: Bars = {
    "keystroke beside all of it, p99 ms": ("mixed", "p99"),
    "first token at 32 clients, p50 ms": ("stream-32", "first_p50"),
}


def draw(results: Results, folder: Path) -> list[str]:
    """Draws all pictures; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "peers-typing.png": _bars(results, TYPING),
        "peers-waiting.png": _bars(results, WAITING),
        "peers-writing.png": _lines(results),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=100)
    return [*figures]


def _label(name: str) -> str:
    return PEERS[name].label.replace("*", "").replace(", plain FastAPI", "")


def _bars(results: Results, bars: Bars) -> Figure:
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    for axes, (title, path) in zip(figure.subplots(1, len(bars)), bars.items(), strict=True):
        column = Column(title, path)
        found = {name: values for name, rounds in results.items() if (values := column.values(rounds))}
        _draw_bars(axes, found)
        axes.set(title=title)
    return figure


def _draw_bars(axes: Axes, found: dict[str, list[float]]) -> None:
    names = [*found][::-1]
    medians = [statistics.median(found[name]) for name in names]
    below = [median - min(found[name]) for median, name in zip(medians, names, strict=True)]
    above = [max(found[name]) - median for median, name in zip(medians, names, strict=True)]
    colours = [OURS_COLOUR if PEERS[name].module == SERVICE else OTHER_COLOUR for name in names]
    bars = axes.barh([_label(name) for name in names], medians, xerr=[below, above], color=colours, capsize=3)
    axes.bar_label(bars, [number(median) for median in medians], padding=6)
    axes.margins(x=0.2)


def _lines(results: Results) -> Figure:
    figure = Figure(figsize=(10.0, 3.6), layout="constrained")
    for axes, (kind, title) in zip(
        figure.subplots(1, 2, sharey=True), {"generate": "whole", "stream": "streamed"}.items(), strict=True
    ):
        for name, rounds in results.items():
            found = [Column("", (f"{kind}-{clients}", "tokens_per_second")).values(rounds) for clients in CLIENTS]
            if all(found):
                medians = [statistics.median(values) for values in found]
                axes.plot(
                    CLIENTS, medians, ".-", label=_label(name), linewidth=2.5 if PEERS[name].module == SERVICE else 1
                )
        axes.set(title=f"texts {title}, tokens/s", xlabel="clients", xscale="log", yscale="log")
        axes.set_xticks(CLIENTS, [str(clients) for clients in CLIENTS])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")
    return figure
