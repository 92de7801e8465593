"""wrk as the load generator, as one in Python would be busier than what it measures."""

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from training.errors import TrainingError

SCRIPT, ONE_BY_ONE = (Path(__file__).with_name(f"{name}.lua") for name in ("wrk", "one_by_one"))
LONGEST_SECONDS = 600
"""Of requests one by one, after which wrk ends even if there are more."""


class Timed(NamedTuple):
    """How long an answer took, and how much of it the server says was its own."""

    milliseconds: float
    server_milliseconds: float


def run_wrk(url: str, bodies: Sequence[Any], connections: int, seconds: float) -> dict[str, float]:
    """Posts the bodies in their order, over and over, whenever a connection is free.

    Returns `requests_per_second`, `failed` (requests that were not answered with 2xx), and the latencies `p50`, `p90`
    and `p99` in milliseconds.
    """
    with _command(url, bodies, connections, seconds, SCRIPT) as command:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def one_by_one(url: str, bodies: Sequence[Any]) -> list[Timed]:
    """Posts the bodies on one connection, each as soon as the one before is answered; all have to succeed."""
    told: list[str] = []
    with (
        _command(url, bodies, 1, LONGEST_SECONDS, ONE_BY_ONE) as command,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            if line == "all\n":
                process.send_signal(signal.SIGINT)  # it would sleep to the end of its time
            elif line[0].isdigit() and "total;dur=" in line:
                told.append(line)
    failed = [line for line in told if not line.startswith("200 ")]
    assert not failed, failed
    assert len(told) == len(bodies), f"{len(told)} answers to {len(bodies)} requests"
    return [Timed(float(line.split(" ")[1]), total_milliseconds(line)) for line in told]


def total_milliseconds(server_timing: str) -> float:
    return float(server_timing.rpartition("total;dur=")[2])


@contextmanager
def _command(
    url: str, bodies: Sequence[Any], connections: int, seconds: float, script: Path
) -> Iterator[Sequence[str]]:
    if not shutil.which("wrk"):
        raise TrainingError(
            "wrk is not installed; install it (`apt-get install wrk`, `brew install wrk`) and try again."
        )
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(body) + "\n" for body in bodies)
        file.flush()
        options = ["-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "60s", "-s", str(script)]
        yield ["wrk", *options, url, "--", file.name]
