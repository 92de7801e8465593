"""Lines on stderr, of a real process: JSON for programs, text for people, and nothing that was sent."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.app.support import API_KEY, ROOT, Server, running_server

SECRET = "the soup was a secret"


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.output.splitlines()]


def ask(server: Server) -> list[str]:
    """Asks for what is answered, refused and not there, and ends the process; returns the ids of the requests."""
    server.client.headers["Authorization"] = f"Bearer {API_KEY}"
    answers = [
        server.client.post("/score", json={"texts": [SECRET]}, headers={"X-Request-ID": "asked"}),
        server.client.post("/score", json={"text": SECRET}),
        server.client.get(f"/no%0asuch/{SECRET}"),
        server.client.get("/model", headers={"Authorization": "Bearer a-wrong-secret"}),
        server.client.get("/livez"),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 404, 401, 200]
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    return [answer.headers["X-Request-ID"] for answer in answers]


def test_json_lines_tell_of_requests_what_the_log_tells(tmp_path: Path, random_artifact: Path) -> None:
    variables = {"MODEL_DIRECTORY": str(random_artifact), "CONSOLE_REQUESTS": "true", "API_KEYS": API_KEY}
    with running_server(tmp_path, **{f"REVIEW_LM_{name}": value for name, value in variables.items()}) as server:
        ids = ask(server)
        printed = lines(server)
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in printed))
    assert {"uvicorn.error", "app.requests"} <= {line["logger"] for line in printed}
    told = [line for line in printed if line["logger"] == "app.requests"]
    assert [(line["request_id"], line["route"], line["status"]) for line in told] == [
        ("asked", "/score", 200),
        (ids[1], "/score", 422),
        (ids[2], "none", 404),
        (ids[3], "none", 401),
    ]
    for line in told:
        assert 0 < line["milliseconds"] < 60_000
        assert abs((datetime.now(UTC) - datetime.fromisoformat(line["time"])).total_seconds()) < 3600
    for secret in ("secret", API_KEY, "color_message"):
        assert secret not in server.output


def test_text_is_for_people_and_requests_are_not_told_unless_asked_for(tmp_path: Path, random_artifact: Path) -> None:
    variables = {"MODEL_DIRECTORY": str(random_artifact), "CONSOLE_FORMAT": "text", "API_KEYS": API_KEY}
    with running_server(tmp_path, **{f"REVIEW_LM_{name}": value for name, value in variables.items()}) as server:
        ask(server)
        assert "INFO: listening on http://" in server.output
        assert all(re.match("[A-Z]+: ", line) for line in server.output.splitlines())
        assert "/score" not in server.output
        assert "secret" not in server.output


PRINT = "import logging as l, app.console as c; c.set_up_console({style!r}, 'warning'); l.info('no'); l.warning('yes')"


@pytest.mark.parametrize(("style", "start"), [("auto", "WARNING: yes"), ("json", "{"), ("text", "WARNING: yes")])
def test_a_terminal_gets_text_unless_it_is_to_get_json(style: str, start: str) -> None:
    ours, terminal = pty.openpty()
    subprocess.run([sys.executable, "-c", PRINT.format(style=style)], stderr=terminal, check=True, cwd=ROOT)
    assert os.read(ours, 10_000).decode().startswith(start)
    os.close(ours)
    os.close(terminal)
