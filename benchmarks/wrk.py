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


def run_wrk(url: str, bodies: Sequence[Any], connections: int, seconds: float) -> dict[str, float]:
    """Posts the bodies in their order, over and over, whenever a connection is free.

    Returns `requests_per_second`, `failed` (requests that were not answered with 2xx), and the latencies `p50`, `p90`
    and `p99` in milliseconds.
    """
    if not shutil.which("wrk"):
        raise TrainingError(
            "wrk is not installed; install it (`apt-get install wrk`, `brew install wrk`) and try again."
        )
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(body) + "\n" for body in bodies)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "60s", "-s", str(SCRIPT), url]
        done = subprocess.run([*command, "--", file.name], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result
