"""What a soak comes to: percentiles of each minute, memory by time, and the log beside the answers; and its picture."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.serve.fairness import percentiles
from benchmarks.soak.asking import Asked, Asking

UNLOGGED = {"/health"}
TYPING = "/next-word"


def figures(asking: Asking, before: int, minutes: int, minute: float) -> dict[str, Any]:
    """Of what was asked after the first `before` requests, which found the capacity; minute 0 is the warm-up."""
    asked = asking.asked[before:]
    by_minute = {number: percentiles(_in_minute(asked, number, minute)) for number in range(minutes + 1)}
    typing = [percentiles(_in_minute(asked, number, minute, TYPING)) for number in (1, minutes)]
    after = [sample for sample in asking.memory if sample.seconds >= minute]
    first, last = after[0], after[-1]
    return {
        "requests": len(asked),
        "errors": sum(each.failed for each in asking.asked),
        "statuses": dict(Counter(each.status for each in asking.asked)),
        "minute, ms": by_minute,
        "p99 of the last minute by the first": by_minute[minutes]["p99"] / by_minute[1]["p99"],
        "p99 of /next-word, the last minute by the first": typing[1]["p99"] / typing[0]["p99"],
        "memory after the warm-up minute, MB": first.resident_bytes / 1e6,
        "memory at the end, MB": last.resident_bytes / 1e6,
        "memory grown by, MB": (last.resident_bytes - first.resident_bytes) / 1e6,
        "of that, states kept, MB": (last.cache_bytes - first.cache_bytes) / 1e6,
    }


def _in_minute(asked: list[Asked], number: int, minute: float, path: str | None = None) -> list[Asked]:
    return [each for each in asked if each.begun // minute == number and path in {None, each.path}]


def compared_with_log(asked: list[Asked], database: Path) -> dict[str, int]:
    """Answers without a row that says the same, and rows without an answer."""
    answers = Counter((each.request_id, each.path, each.status) for each in asked if each.path not in UNLOGGED)
    with closing(sqlite3.connect(database)) as connection:
        rows = Counter(connection.execute("SELECT request_id, route, status FROM requests"))
    return {
        "answers": answers.total(),
        "rows": rows.total(),
        "answers without a row": (answers - rows).total(),
        "rows without an answer": (rows - answers).total(),
    }


def draw(asking: Asking, result: dict[str, Any], minute: float, path: Path) -> None:
    """Latency of each minute, and memory by time, in one picture."""
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    by_minute = result["minute, ms"]
    for name in ("p50", "p99"):
        above.plot(
            [number + 0.5 for number in by_minute], [each[name] for each in by_minute.values()], ".-", label=name
        )
    above.set(ylabel="ms", yscale="log", title=f"{result['requests']:,} requests, {result['errors']} errors")
    above.legend(frameon=False)
    times = [each.seconds / minute for each in asking.memory]
    below.plot(times, [each.resident_bytes / 1e6 for each in asking.memory], label="resident")
    below.plot(times, [each.cache_bytes / 1e6 for each in asking.memory], label="of that, states kept")
    below.set(xlabel="minutes", ylabel="MB", ylim=(0, None))
    below.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
