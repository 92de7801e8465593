"""What was measured: shown as it comes, kept as JSON, and put together as one page."""

import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.quality.results import machine

DESCRIPTIONS = {
    "next-words": "Requests per second of `/next-word` at 64 connections, each typing 150 words, a request a word",
    "long-text": "One person types a text of 500 words",
    "letters": "`/next-word` asked before each word and after every letter of it, beside once a word",
    "streams": "32 reviews streamed at once, and time to the first token",
    "fairness": "`/next-word` beside 32 generations and the scoring of 64 texts of 1 000 characters",
    "bits": "Equal bits alone, in a crowd, in another process without a cache, and streamed",
    "overload": "Four times as many requests as the service can answer",
    "vanishing": "1 000 clients that vanish in the middle of a stream",
    "workers": "Several worker processes on this machine, beside one",
    "soak": "Mixed traffic at 70 % of what the service can answer",
    "steps": "A step of the module against the time that reading its weights takes",
}


def keep(folder: Path, name: str, result: dict[str, Any]) -> None:
    """Writes a result and shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {"machine": machine(), "python": platform.python_version()}
    content = {"measured": datetime.now(UTC).isoformat(timespec="minutes"), **known, "result": result}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    print(_section(name, content))


def page(folder: Path) -> str:
    """All results that are there, in Markdown."""
    results = [(name, folder / f"{name}.json") for name in DESCRIPTIONS]
    return "\n".join(_section(name, json.loads(path.read_text())) for name, path in results if path.is_file())


def _section(name: str, content: dict[str, Any]) -> str:
    rows = [f"| {label} | {_text(value)} |" for label, value in _flat(content["result"])]
    where = f"{content['machine']}, Python {content['python']}, {content['measured']}"
    return "\n".join([f"## {DESCRIPTIONS[name]}", "", where, "", "| what | figure |", "|---|---:|", *rows, ""])


def _flat(result: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for label, value in result.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{before}{label}: ")
        else:
            rows.append((before + str(label).replace("_", " "), value))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, float) and value != int(value):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)
