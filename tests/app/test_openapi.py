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

CALLS = int(os.environ.get("SCHEMATHESIS_CALLS", "150"))
SEED = [] if "SCHEMATHESIS_CALLS" in os.environ else ["--seed=1"]
SCHEMATHESIS = [
    *(sys.executable, "-m", "schemathesis.cli", "run"),
    *("--checks=all", "--no-color", "--continue-on-failure"),
    # Longer than the service's own deadline: what takes it ten seconds of a busy machine is no failure.
    "--request-timeout=60",
    "--max-response-time=60",
]

CONFIGURATION = """
[[operations]]
include-path = "/v1/completions"
# No schema tells that `best_of` is the value of `n`, or that `stream_options` go with `stream`.
checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]
"""


@pytest.mark.timeout(max(300, CALLS))
def test_every_answer_is_one_that_is_promised(tmp_path: Path, random_artifact: Path) -> None:
    with running_server(tmp_path, REVIEW_LM_MODEL_DIRECTORY=str(random_artifact)) as server:
        paths = server.client.get("/openapi.json").json()["paths"].values()
        operations, with_bodies = sum(map(len, paths)), sum("post" in path for path in paths)
        assert operations >= 11
        (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
        command = [
            *SCHEMATHESIS,
            *SEED,
            f"--max-examples={CALLS // with_bodies}",
            f"{server.client.base_url}/openapi.json",
        ]
        made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout[-10_000:] + made.stderr[-2000:]
        assert f"Selected: {operations}/{operations}" in made.stdout
        counted = re.search(r"(\d+) generated", made.stdout)
        assert counted
        assert int(counted[1]) >= CALLS
        health = server.health()
        assert (health["status"], health["rows"]) == ("ok", 0)
        assert "Traceback" not in server.output


def test_the_page_tells_the_limits_that_are_settings(tmp_path: Path, random_artifact: Path) -> None:
    limits = {"MAX_CHARACTERS": "50", "MAX_N": "4", "MAX_TOKENS": "60", "MAX_TEXTS": "3"}
    variables = {f"REVIEW_LM_{name}": value for name, value in limits.items()}
    with running_server(tmp_path, REVIEW_LM_MODEL_DIRECTORY=str(random_artifact), **variables) as server:
        schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
    generate, score, completion = (
        schemas[f"{name}Request"]["properties"] for name in ("Generate", "Score", "Completion")
    )
    assert schemas["NextWordRequest"]["properties"]["text"]["maxLength"] == generate["prompt"]["maxLength"] == 50
    assert (generate["n"]["maximum"], generate["max_tokens"]["maximum"]) == (4, 60)
    assert score["texts"]["items"]["minLength"] == 1
    assert {"maxLength", "pattern"} <= set(schemas["NextWordRequest"]["properties"]["prefix"])
    assert {"maxLength", "minLength"} <= set(generate["stop"]["items"])
    assert {"maximum", "minimum"} <= set(generate["seed"]["anyOf"][0])
    assert (score["texts"]["maxItems"], score["texts"]["items"]["maxLength"]) == (3, 50)
    assert (completion["n"]["maximum"], completion["max_tokens"]["maximum"]) == (4, 60)
    text, texts, _ = completion["prompt"]["anyOf"]
    assert (text["maxLength"], texts["items"]["maxLength"], texts["maxItems"]) == (50, 50, 4)
    assert completion["model"]["const"] == "tiny-1"
    assert completion["stop"]["anyOf"][1] == {
        "type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 100}, "maxItems": 4,
    }  # fmt: skip
    assert completion["suffix"]["enum"] == ["", None]
