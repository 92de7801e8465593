"""Ray, where it is installed: the cluster of the benchmark, with fewer texts."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.app.support import ROOT

pytest.importorskip("ray", reason="Ray is not installed (pip install '.[ray]')")


def _measured(*arguments: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.ray", *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout[finished.stdout.index("{") :])


@pytest.mark.timeout(900)
def test_every_route_answers_and_a_killed_replica_is_replaced() -> None:
    told = _measured("serve")
    assert told["nodes with a replica"] == 2
    assert set(told["routes with GET"].values()) == {200}
    assert set(told["routes with POST, and whether they answer as one process does"].values()) == {True}
    assert told["of these with other bits"] == told["of these, failed again when tried once more"] == 0


@pytest.mark.timeout(900)
def test_results_have_the_same_bits_wherever_they_are_computed() -> None:
    told = _measured("bulk", "--texts", "2000")
    assert 0 < told["files when the run was killed"] < told["files"]
    assert told["on two nodes every file has the same bits"]
    assert told["killed and resumed every file has the same bits"]
