"""Kills the service under load, again and again on one log: `python -m benchmarks.log --rounds 20`.

Every answer that a client got in full is compared with the rows that the log has afterwards. With `--postgres 100000`,
so many requests to two services while their PostgreSQL is cut off and started again.
"""

import argparse
import itertools
import json
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.postgres import running_postgres
from benchmarks.restart import restarted
from benchmarks.servers import Server, serving

CLIENTS = 8
ANSWERS = 200
"""Answers in all before the service is killed."""
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/next-word", {"text": "The food was"}),
    ("/score", {"texts": ["I loved it."]}),
    ("/generate", {"prompt": "The", "max_tokens": 3, "stream": True}),
]
MODES = {
    "commit": ("commit", signal.SIGKILL),
    "background": ("background", signal.SIGKILL),
    "sigterm": ("background", signal.SIGTERM),
}
"""REVIEW_LM_LOG_DURABILITY, and what ends the service."""


@dataclass
class Round:
    """What one killing did to the log: answers whose row is missing, rows that are there twice, a broken file."""

    answered: int
    missing: int
    doubled: int
    gaps: int
    """Rows that are missing though a later one of the same client is there."""
    oldest_missing_seconds: float
    """How long before the killing the oldest answer came of which the row is missing."""
    clean: bool


Answers = list[tuple[str, float]]
"""Request ids and when their answers were whole, of one client."""


def rounds(mode: str, count: int, folder: Path, **settings: str) -> Iterator[Round]:
    """Kills a new service `count` times; all of them write to one SQLite file in `folder`."""
    durability, ending = MODES[mode]
    database = folder / f"{mode}.sqlite3"
    for number in range(count):
        with serving(database=f"sqlite:///{database}", log_durability=durability, **settings) as service:
            answers, ended = _load_and_kill(service, ending, f"{mode}-{number}")
        yield _compare(database, answers, ended)


def _load_and_kill(service: Server, ending: signal.Signals, name: str) -> tuple[list[Answers], float]:
    answers: list[Answers] = [[] for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [
            threads.submit(_ask_until_it_ends, service, f"{name}-{client}", answers[client])
            for client in range(CLIENTS)
        ]
        while sum(map(len, answers)) < ANSWERS and not any(client.done() for client in clients):
            time.sleep(0.005)
        ended = time.monotonic()
        service.process.send_signal(ending)
    for client in clients:
        client.result()
    service.process.wait(60)
    return answers, ended


def _ask_until_it_ends(service: Server, name: str, answered: Answers) -> None:
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for number, (path, body) in enumerate(itertools.cycle(REQUESTS)):
            request_id = f"{name}-{number}"
            try:
                answer = client.post(path, json=body, headers={"X-Request-ID": request_id})
            except httpx.TransportError:
                return
            if answer.status_code == 503:  # not ready any more
                return
            answer.raise_for_status()
            answered.append((request_id, time.monotonic()))


def _compare(database: Path, answers: list[Answers], ended: float) -> Round:
    with closing(sqlite3.connect(database)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        rows = Counter(row[0] for row in connection.execute("SELECT request_id FROM requests"))
    missing = [at for client in answers for request_id, at in client if not rows[request_id]]
    return Round(
        answered=sum(map(len, answers)),
        missing=len(missing),
        doubled=sum(count > 1 for count in rows.values()),
        gaps=sum(_gaps([rows[request_id] > 0 for request_id, _ in client]) for client in answers),
        oldest_missing_seconds=round(ended - min(missing), 3) if missing else 0.0,
        clean=verdict == "ok",
    )


def _gaps(present: list[bool]) -> int:
    last = max((place for place, there in enumerate(present) if there), default=-1)
    return present[: last + 1].count(False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.log", description="Kills the service under load.")
    parser.add_argument("--rounds", type=int, default=20, help="of each mode (default 20)")
    parser.add_argument("--mode", choices=MODES, action="append", help="one mode alone; may be given several times")
    parser.add_argument("--postgres", type=int, metavar="REQUESTS", help="two services, and PostgreSQL is restarted")
    options = parser.parse_args()
    if options.postgres:
        with running_postgres() as server:
            print(json.dumps(asdict(restarted(server, options.postgres))), flush=True)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for mode in options.mode or MODES:
            done = []
            for one in rounds(mode, options.rounds, Path(folder)):
                done.append(one)
                print(f"{mode}: {json.dumps(asdict(one))}", file=sys.stderr, flush=True)
            total = {
                name: sum(getattr(one, name) for one in done) for name in ("answered", "missing", "doubled", "gaps")
            }
            oldest = max(one.oldest_missing_seconds for one in done)
            clean = sum(one.clean for one in done)
            print(
                f"{mode}: {len(done)} rounds, {clean} opened clean, {total}, oldest missing {oldest} s before",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
