"""docs/log.md shows commands that work and names settings, columns and counters that exist."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.log.schema import requests
from app.settings import Settings, variable
from tests.app.log.support import entry, log_of
from tests.app.support import ROOT

PAGE = (ROOT / "docs" / "log.md").read_text()
COMMANDS = re.findall(r"^(?:python -m app\.log|sqlite3) .*$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_a_row(command: str, tmp_path: Path) -> None:
    if not shutil.which(command.split(maxsplit=1)[0]):
        pytest.skip(f"{command.split(maxsplit=1)[0]} is not installed")
    log = log_of(f"sqlite:///{tmp_path}/logs/requests.sqlite3")
    log.start()
    for route in ("/generate", "/next-word"):
        log.record(entry("shown", body=b'{"text": "shown"}')._replace(route=route, latency_ms=200.5))
    log.close()
    database = f"sqlite:///{tmp_path}/logs/requests.sqlite3"
    pasted = command.replace("python -m app.log", f"{sys.executable} -m app.log --database {database}")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    finished = subprocess.run(
        pasted.replace("--since 2h", "--since 2026-01-01").replace("--since 7d", "--since 2026-01-01"),
        shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    written = finished.stdout + "".join(path.read_text() for path in tmp_path.glob("rows.*"))
    assert "shown" in written or "200.5" in written


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 8


def test_every_column_and_no_other_is_explained() -> None:
    table = PAGE.partition("| column |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`(?=.*\|.*\|)", table)) & set(requests.columns.keys()) == set(requests.columns.keys())


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"REVIEW_LM_\w+", PAGE))
    assert named == {variable(name) for name in Settings.model_fields if name.startswith("log_")}
