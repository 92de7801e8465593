"""Mixed traffic for minutes at 70 % of capacity: `python -m benchmarks.soak --minutes 15`.

Capacity is what the service answers of the same traffic when there is always more to do, which also has it take the
memory that its largest batches need. At the end the rows of its log
are compared with the answers.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serve.results import keep
from benchmarks.serve.traffic import made_up_texts
from benchmarks.servers import serving
from benchmarks.soak.asking import Asking
from benchmarks.soak.mixture import TYPISTS, mixture
from benchmarks.soak.report import compared_with_log, draw, figures

SHARE = 0.7
TEXTS, WORDS = 12 * TYPISTS, 60
CACHE_BYTES = 1 << 23
"""So few that the cache is full after the warm-up minute: what grows from then on is something else."""


def made_up() -> list[str]:
    """Texts of another service: the log of the one that is soaked shall have nothing else."""
    with serving() as other:
        return made_up_texts(other, TEXTS, WORDS)


def soak(texts: list[str], minutes: int, picture: Path, minute: float = 60.0, **settings: str) -> dict[str, Any]:
    """A warm-up minute and as many more, of `minute` seconds each; finding the capacity takes two before them.

    `settings` are the service's, as `serving` takes them.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "requests.sqlite3"
        with serving(database=f"sqlite:///{database}", **settings) as service:
            model = httpx.get(f"{service.url}/health").json()["model"]
            asking = Asking(service, mixture(texts, model))
            capacity = asyncio.run(asking.capacity(2 * minute))
            before = len(asking.asked)
            asyncio.run(asking.run(SHARE * capacity, minutes + 1, minute))
            result = figures(asking, before, minutes, minute)
        log = compared_with_log(asking.asked, database)
    draw(asking, result, minute, picture)
    return {"capacity, requests/s": capacity, "rate, requests/s": SHARE * capacity, **result, "log": log}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=15, help="after a warm-up minute (default 15)")
    parser.add_argument("--results", type=Path, default=Path("runs/serve"), help="folder of soak.json and soak.png")
    options = parser.parse_args(arguments)
    result = soak(made_up(), options.minutes, options.results / "soak.png", cache_bytes=str(CACHE_BYTES))
    keep(options.results, "soak", result)
    log = result["log"]
    return 1 if result["errors"] or log["answers without a row"] or log["rows without an answer"] else 0


if __name__ == "__main__":
    sys.exit(main())
