"""Calls that schemathesis makes up from the OpenAPI page: each answer is one that the page promises, and none a 5xx.

`make fuzz` makes thousands of them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.support import running_server

OPERATIONS = 8
CALLS = int(os.environ.get("SCHEMATHESIS_CALLS", "400"))
SCHEMATHESIS = [sys.executable, "-m", "schemathesis.cli", "run", "--checks=all", "--no-color", "--continue-on-failure"]


@pytest.mark.timeout(max(300, CALLS))
def test_every_answer_is_one_that_is_promised(tmp_path: Path, random_artifact: Path) -> None:
    with running_server(tmp_path, REVIEW_LM_MODEL_DIRECTORY=str(random_artifact)) as server:
        page = f"http://127.0.0.1:{server.port}/openapi.json"
        options = [
            f"--max-examples={CALLS // OPERATIONS}",
            *([] if "SCHEMATHESIS_CALLS" in os.environ else ["--seed=1"]),
        ]
        made = subprocess.run(
            [*SCHEMATHESIS, *options, page], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout[-10_000:] + made.stderr[-2000:]
        counted = re.search(r"(\d+) generated", made.stdout)
        assert counted, made.stdout[-2000:]
        assert int(counted[1]) >= 400
        assert re.search(rf"Selected: {OPERATIONS}/{OPERATIONS}", made.stdout), "an operation was added: count it"
        health = server.health()
        assert (health["status"], health["rows"]) == ("ok", 0)
        assert "Traceback" not in server.output
