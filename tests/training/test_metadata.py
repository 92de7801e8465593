import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.test_fit import options
from training import metadata
from training.fit import fit
from training.metadata import RUN_FILE, write_metadata

ROOT = Path(__file__).parents[2]


def written(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / RUN_FILE).read_text())
    return found


def test_a_run_says_what_it_was_made_with(corpus: Path, tmp_path: Path) -> None:
    fit(options(epochs=0.05, seed=5), corpus, tmp_path, resume=False, save_minutes=5, progress=False)
    fit(options(epochs=0.1), corpus, tmp_path, resume=True, save_minutes=5, progress=False)
    told = written(tmp_path)
    assert told["options"] == options(epochs=0.1, seed=5).model_dump()
    first, second = told["sessions"]
    assert first["updates"] == 0 < second["updates"]
    assert first["libraries"]["torch"] == torch.__version__
    assert first["libraries"]["python"] == sys.version.split()[0]
    assert all(first["libraries"].values())
    assert first["machine"]["threads"] == torch.get_num_threads()
    assert first["started"] <= second["started"]


def test_a_new_run_tells_nothing_of_one_that_was_there_before(tmp_path: Path) -> None:
    write_metadata(tmp_path, {"seed": 1}, 0, 1)
    write_metadata(tmp_path, {"seed": 2}, 0, 1)
    assert written(tmp_path)["options"] == {"seed": 2}
    assert len(written(tmp_path)["sessions"]) == 1


def test_the_commit_is_told_and_whether_the_code_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "training"
    code.mkdir()
    shutil.copy(ROOT / "training" / "metadata.py", code)
    monkeypatch.setattr(metadata, "__file__", str(code / "metadata.py"))

    def told() -> Any:
        write_metadata(tmp_path, {}, 0, 1)
        return written(tmp_path)["sessions"][0]["git"]

    assert told() is None
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.com"]
    for command in (["init", "-q"], ["add", "training"], [*who, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told() == {"commit": head.stdout.strip(), "changed": False}
    (code / "metadata.py").write_text("# another\n")
    assert told() == {"commit": head.stdout.strip(), "changed": True}


def test_a_machine_without_git_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    write_metadata(tmp_path, {}, 0, 1)
    assert written(tmp_path)["sessions"][0]["git"] is None
