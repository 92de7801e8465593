"""wrk as the load generator, as one in Python would be busier than what it measures."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.errors import TrainingError

SCRIPT = Path(__file__).with_name("wrk.lua")


def run_wrk(url: str, bodies: Sequence[dict[str, Any]], connections: int, seconds: float) -> dict[str, float]:
    """Posts the bodies over and over: connection i of n takes every n-th from the i-th on, one after the other's answer.

    Returns `requests_per_second`, `failed` (requests that were not answered with 2xx), and the latencies `p50`, `p90`
    and `p99` in milliseconds.
    """
    if not shutil.which("wrk"):
        raise TrainingError(
            "wrk is not installed; install it (`apt-get install wrk`, `brew install wrk`) and try again."
        )
    with tempfile.TemporaryDirectory() as folder:
        for number in range(connections):
            own = bodies[number::connections]
            Path(folder, str(number + 1)).write_text("".join(json.dumps(body) + "\n" for body in own))
        sizes = [f"-t{connections}", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "60s"]
        command = ["wrk", *sizes, "-s", str(SCRIPT), url, "--", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result
