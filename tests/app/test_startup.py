"""`python -m app` where it cannot start: one sentence, no traceback, a status that says so."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app.support import service_process


def _missing_artifact(tmp_path: Path, _: Path) -> dict[str, str]:
    return {"REVIEW_LM_MODEL_DIRECTORY": str(tmp_path / "nowhere")}


def _truncated_artifact(tmp_path: Path, artifact: Path) -> dict[str, str]:
    directory = Path(shutil.copytree(artifact, tmp_path / "model"))
    content = (directory / "language_model.pt").read_bytes()
    (directory / "language_model.pt").write_bytes(content[:5000])
    return {"REVIEW_LM_MODEL_DIRECTORY": str(directory)}


def _other_vocabulary(tmp_path: Path, artifact: Path) -> dict[str, str]:
    directory = Path(shutil.copytree(artifact, tmp_path / "model"))
    (directory / "vocab.json").write_text("{}")
    return {"REVIEW_LM_MODEL_DIRECTORY": str(directory)}


def _unwritable_log(tmp_path: Path, artifact: Path) -> dict[str, str]:
    (tmp_path / "logs").write_text("a file where the folder should be")
    database = f"sqlite:///{tmp_path}/logs/requests.sqlite3"
    return {"REVIEW_LM_MODEL_DIRECTORY": str(artifact), "DATABASE_URL": database}


def _long_name(tmp_path: Path, artifact: Path) -> dict[str, str]:
    folder = tmp_path / (90 * "x")
    folder.mkdir()
    return {"REVIEW_LM_WORKERS": "2", "REVIEW_LM_MODEL_DIRECTORY": str(artifact), "TMPDIR": str(folder)}


AT_ONCE = 3
"""Attempts: a start takes seconds, and with all of them at once the servers of other tests would wait for a minute."""
Attempts = dict[str, Future[tuple[int, str]]]
CASES: dict[str, tuple[Callable[[Path, Path], dict[str, str]], str]] = {
    "missing artifact": (_missing_artifact, "There is no"),
    "truncated artifact": (_truncated_artifact, "is damaged"),
    "other vocabulary": (_other_vocabulary, "vocab.json is damaged or was changed"),
    "other sum": (lambda *_: {"REVIEW_LM_MODEL_SHA256": "0" * 64}, "not the one that is asked for"),
    "sum that is none": (lambda *_: {"REVIEW_LM_MODEL_SHA256": "abc"}, "REVIEW_LM_MODEL_SHA256"),
    "keys of nobody": (lambda *_: {"REVIEW_LM_API_KEYS": ","}, "REVIEW_LM_API_KEYS"),
    "file of keys that is not there": (lambda *_: {"REVIEW_LM_API_KEYS_FILE": "nowhere"}, "nowhere cannot be read"),
    "unwritable log": (_unwritable_log, "set DATABASE_URL"),
    "unwritable log, two workers": (lambda *of: {"REVIEW_LM_WORKERS": "2"} | _unwritable_log(*of), "set DATABASE_URL"),
    "long name of a folder, two workers": (_long_name, "set TMPDIR"),
    "missing artifact, two workers": (lambda *of: {"REVIEW_LM_WORKERS": "2"} | _missing_artifact(*of), "There is no"),
    "port that is no number": (lambda *_: {"REVIEW_LM_PORT": "abc"}, "REVIEW_LM_PORT"),
    "misspelt setting": (lambda *_: {"REVIEW_LM_API_KEY": "a key"}, "did you mean REVIEW_LM_API_KEYS?"),
    "unknown value": (lambda *_: {"REVIEW_LM_LOG_BODIES": "some"}, "REVIEW_LM_LOG_BODIES"),
}


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory, random_artifact: Path) -> Iterator[Attempts]:
    """One process a case: its exit status, and what it printed."""
    started = {}
    with socket.create_server(("127.0.0.1", 0)) as taken, ThreadPoolExecutor(AT_ONCE) as pool:
        port = str(taken.getsockname()[1])
        for name in (*CASES, "port in use"):
            directory = tmp_path_factory.mktemp("startup")
            in_use = {"REVIEW_LM_MODEL_DIRECTORY": str(random_artifact), "REVIEW_LM_PORT": port}
            variables = CASES[name][0](directory, random_artifact) if name in CASES else in_use
            started[name] = pool.submit(_attempt, directory, variables)
        yield started


def _attempt(directory: Path, variables: dict[str, str]) -> tuple[int, str]:
    with service_process(directory, **variables) as process:
        try:
            status = process.wait(120)
        finally:
            process.kill()
    return status, (directory / "output").read_text()


@pytest.mark.parametrize(
    ("name", "said"), [*((name, said) for name, (_, said) in CASES.items()), ("port in use", "cannot be listened on")]
)
def test_a_service_that_cannot_start_says_why_in_one_sentence(attempts: Attempts, name: str, said: str) -> None:
    status, output = attempts[name].result()
    assert status == 1
    assert said in output
    assert output.startswith("error: ")
    assert output.count("\n") == 1
    assert output.endswith(".\n")


@pytest.mark.parametrize("setting", ["REVIEW_LM_PORT", "REVIEW_LM_API_KEYS_FILE"])
def test_a_wrong_setting_is_told_before_torch_is_imported(setting: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "app"]
    run = subprocess.run(command, env={**os.environ, setting: "nowhere"}, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    assert "pydantic" in imported
    assert "torch" not in imported
    assert "error: " in run.stderr
