"""The figures of all rounds as tables: the median of each, and behind it the smallest and the largest."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.measure import CLIENTS
from benchmarks.peers.peers import OUR_WORKERS, OURS, PEERS

Rounds = Sequence[dict[str, Any]]
Results = Mapping[str, Rounds]
"""Of each server that was measured, in the order of PEERS."""
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A figure of a server, which each round's result has under `path`; `highest` is best, or else the lowest."""

    title: str
    path: tuple[str, ...]
    highest: bool = False

    def values(self, rounds: Rounds) -> list[float]:
        return [value for each in rounds if (value := _at(each, self.path)) is not None]

    def text(self, rounds: Rounds) -> str:
        return spread(self.values(rounds))


def _at(result: Any, path: Sequence[str]) -> float | None:
    for name in path:
        if name not in result:
            return None
        result = result[name]
    value: float = result
    return value


def spread(values: Sequence[float]) -> str:
    """`median (smallest–largest)`."""
    if not values:
        return NOTHING
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def number(value: float) -> str:
    """Three figures, and no fewer than stand before the point."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 or value == 0 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _typing(name: str) -> list[Column]:
    return [
        Column("requests/s", (name, "requests_per_second"), highest=True),
        Column("p50, ms", (name, "p50")),
        Column("p99, ms", (name, "p99")),
        Column("CPU s per 1,000", (name, "cpu")),
        Column("failed", (name, "failed")),
    ]


TABLES: dict[str, list[Column]] = {
    "Keyboard sessions: 64 connections, a request after every word of texts of 150 words": _typing("typing"),
    "Unrelated contexts of 1 to 200 words, 64 connections": _typing("unrelated"),
    "Texts of up to 150 tokens, whole: tokens/s": [
        *(Column(f"{count} clients", (f"generate-{count}", "tokens_per_second"), highest=True) for count in CLIENTS),
        Column("p50 of a text at 32, ms", ("generate-32", "p50")),
        Column("p99 at 32, ms", ("generate-32", "p99")),
        Column("CPU s per 1,000 texts at 32", ("generate-32", "cpu")),
    ],
    "The same, streamed: tokens/s, and time to the first token": [
        *(Column(f"{count} clients", (f"stream-{count}", "tokens_per_second"), highest=True) for count in CLIENTS),
        *(Column(f"first token at {count}, p50 ms", (f"stream-{count}", "first_p50")) for count in CLIENTS),
        Column("first token at 32, p99 ms", ("stream-32", "first_p99")),
    ],
    "Scoring: 16 texts of 500 characters a request, 4 clients": [
        Column("requests/s", ("score", "requests_per_second"), highest=True),
        Column("p50, ms", ("score", "p50")),
        Column("p99, ms", ("score", "p99")),
        Column("CPU s per 1,000", ("score", "cpu")),
    ],
    "A keystroke beside all of it: 4 who type, 8 texts being written, 2 scorings": [
        Column("p50, ms", ("mixed", "p50")),
        Column("p99, ms", ("mixed", "p99")),
        Column("requests/s", ("mixed", "requests_per_second"), highest=True),
    ],
}


def table(columns: Sequence[Column], results: Results) -> str:
    """One of TABLES in Markdown, of the servers that have any of its figures."""
    lines = [f"| | {' | '.join(column.title for column in columns)} |", "|---|" + "---:|" * len(columns)]
    for name, rounds in results.items():
        if any(column.values(rounds) for column in columns):
            lines.append(f"| {PEERS[name].label} | {' | '.join(column.text(rounds) for column in columns)} |")
    return "\n".join(lines)


def overload_table(results: Results) -> str:
    """What came of twice as many requests as each can do, in shares of all rounds together."""
    lines = ["| | asked for, requests/s | answered, and what else | p99 of those answered, ms |", "|---|---:|---|---:|"]
    for name, rounds in results.items():
        measured = [each["overload"] for each in rounds if "overload" in each]
        if measured:
            statuses = sorted({status for each in measured for status in each["shares"]})
            shares = {
                status: statistics.median(each["shares"].get(status, 0.0) for each in measured) for status in statuses
            }
            told = ", ".join(f"{status}: {share:.0%}" for status, share in shares.items())
            p99 = spread([each["p99"] for each in measured if "p99" in each])
            lines.append(f"| {PEERS[name].label} | {spread([each['rate'] for each in measured])} | {told} | {p99} |")
    return "\n".join(lines)


def wins(results: Results) -> list[str]:
    """A line for each figure in which a peer is better than the service: by whom it is beaten, and by how much."""
    lines = []
    for title, columns in TABLES.items():
        for column in columns:
            found = {name: column.values(rounds) for name, rounds in results.items()}
            medians = {name: statistics.median(values) for name, values in found.items() if values}
            ours = {name: medians.pop(name) for name in (OURS, OUR_WORKERS) if name in medians}
            if OURS not in ours or not medians:
                continue
            best = (max if column.highest else min)(medians.values())
            if best > ours[OURS] if column.highest else best < ours[OURS]:
                winner = next(name for name, median in medians.items() if median == best)
                told = ", ".join(f"{PEERS[name].label} {number(median)}" for name, median in ours.items())
                lines.append(
                    f"- {title.partition(':')[0]}, {column.title}: {PEERS[winner].label} {number(best)}; {told}"
                )
    return lines
