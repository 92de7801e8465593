"""Rows of the log as text: lines for a person, JSON lines, or CSV."""

import csv
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, TextIO

from app.log.reading import COLUMNS, Rows

Write = Callable[[Rows, TextIO], None]
SHOWN = "{time}  {status}  {latency_ms:>9.1f} ms  {tokens_in:>5} in {tokens_out:>5} out  {route:<12}  {request_id}"


def write_text(rows: Rows, output: TextIO) -> None:
    for row in rows:
        # Whatever a client asked for: no control character of it may reach the terminal.
        line = SHOWN.format(**row | {"time": row["time"].isoformat(" ", "milliseconds")})
        print("".join(c if c.isprintable() else "\ufffd" for c in line), file=output, flush=True)


def write_json_lines(rows: Rows, output: TextIO) -> None:
    for row in rows:
        print(json.dumps(row, default=_time, ensure_ascii=False), file=output, flush=True)


def write_csv(rows: Rows, output: TextIO) -> None:
    writer = csv.DictWriter(output, [column.name for column in COLUMNS], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"time": row["time"].isoformat()})
        output.flush()


def _time(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


FORMATS: dict[str, Write] = {"text": write_text, "jsonl": write_json_lines, "csv": write_csv}
