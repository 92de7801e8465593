"""The same texts scored on one machine, on a cluster, and on a cluster in two runs of which the first was killed."""

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from benchmarks.ray.nodes import Worker, two_nodes, workers
from benchmarks.servers import ROOT

WORDS = (
    "the a we it they food service place waiter pizza soup table price was is had would not never good cold but very"
)
PARTS = 40
POLL_SECONDS = 0.05
ENDING_SECONDS = 60


def bulk(texts: int) -> dict[str, Any]:
    """Scores so many short made-up texts three times; on Ray a worker is killed once, and the third run as a whole."""
    with tempfile.TemporaryDirectory(prefix="bulk-") as name:
        folder = Path(name)
        _write_texts(folder / "texts.parquet", texts)
        alone = _timed(lambda: _start(folder, "alone", texts), lambda _: None)
        with two_nodes() as address:
            cluster = _timed(
                lambda: _start(folder, "ray", texts, address), lambda run: _kill_a_worker(folder / "ray", run)
            )
            process = _start(folder, "resumed", texts, address)
            there = _kill_in_the_middle(folder / "resumed", process)
            resumed = _timed(lambda: _start(folder, "resumed", texts, address), lambda _: None)
        sums = {run: _sums(folder / run) for run in ("alone", "ray", "resumed")}
        table = pyarrow.parquet.read_table(folder / "ray", columns=["tokens"])
        return {
            "texts": table.num_rows,
            "tokens": sum(table["tokens"].to_pylist()),
            "files": len(sums["alone"]),
            "seconds on one machine": alone,
            "seconds on two nodes, one worker killed": cluster,
            "files when the run was killed": there,
            "seconds to go on": resumed,
            "on two nodes every file has the same bits": sums["ray"] == sums["alone"],
            "killed and resumed every file has the same bits": sums["resumed"] == sums["alone"],
        }


def _write_texts(path: Path, count: int) -> None:
    source = random.Random(7)
    texts = [" ".join(source.choices(WORDS.split(), k=source.randint(1, 4))) for _ in range(count)]
    stars = [source.choice([None, 1, 2, 3, 4, 5]) for _ in range(count)]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "stars": stars}), path)


def _start(folder: Path, run: str, texts: int, address: str | None = None) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "app.bulk", "score", str(folder / "texts.parquet"), "--output", str(folder / run)]
    rows = ["--stars-column", "stars", "--part-rows", str(max(1, texts // PARTS))]
    where = ["--ray", address] if address else ["--workers", "2"]
    return subprocess.Popen([*command, *rows, *where], cwd=ROOT)


def _timed(
    start: Callable[[], "subprocess.Popen[bytes]"], meanwhile: Callable[["subprocess.Popen[bytes]"], None]
) -> float:
    began = time.monotonic()
    process = start()
    meanwhile(process)
    if process.wait():
        raise RuntimeError(f"a run ended with {process.returncode}")
    return round(time.monotonic() - began, 1)


def _kill_a_worker(output: Path, process: "subprocess.Popen[bytes]") -> None:
    """Kills one of two workers, on two nodes, when the first file is there."""
    found: list[Worker] = []
    while process.poll() is None and (len(found) < 2 or not any(output.glob("part-*.parquet"))):
        time.sleep(POLL_SECONDS)
        found = workers("RayWorker")
    if process.poll() is not None:
        raise RuntimeError("the run was over before both nodes had a worker; give it more texts")
    assert len({worker.node for worker in found}) == 2, "both workers are on one node"
    found[0].process.kill()


def _kill_in_the_middle(output: Path, process: "subprocess.Popen[bytes]") -> int:
    """Kills the process that leads the run when a third of its files are there; returns how many are."""
    while process.poll() is None and len(list(output.glob("part-*.parquet"))) < PARTS / 3:
        time.sleep(POLL_SECONDS)
    process.kill()
    process.wait()
    give_up = time.monotonic() + ENDING_SECONDS
    while workers("RayWorker") and time.monotonic() < give_up:  # Ray ends them, as nobody waits for them any more
        time.sleep(POLL_SECONDS)
    return len(list(output.glob("part-*.parquet")))


def _sums(output: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(output.glob("part-*.parquet"))}
