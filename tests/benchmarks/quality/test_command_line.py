import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.quality.__main__ import main
from benchmarks.quality.results import LABELS
from tests.training.test_command_line import sentence_of

SMALL = {
    "kneser-ney": [],
    "word-language-model": ["--embedding=32", "--hidden=32", "--minutes=0.02"],
    "transformer": ["--width=32", "--layers=1", "--heads=2", "--feed-forward=64", "--negatives=128", "--minutes=0.02"],
    "review-lm": ["--embedding=32", "--hidden=32", "--negatives=128", "--minutes=0.02"],
}


def test_every_model_is_trained_measured_and_shown(
    corpus: Path, tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--corpus", str(corpus), "--results", str(tmp_path)]
    for command, options in SMALL.items():
        assert main([command, *options, *folders, "--threads=1"]) == 0
        result = json.loads((tmp_path / f"{command}.json").read_text())
        for split in ("valid", "test"):
            assert 1 < result["quality"][split]["perplexity_per_token"] < 1000
        assert result["threads"] == 1
        assert result["parameters"] + result["looked_up"] > 1000
        assert result["tokens"] > 0
        for option in options:
            name, value = option[2:].replace("-", "_").split("=")
            if name != "minutes":
                assert result["options"][name] == float(value)
    assert main(["review-lm", *SMALL["review-lm"], *folders, "--threads=1", "--name=another"]) == 0
    capsys.readouterr()
    assert main(["table", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.removeprefix("| ").split(" | ") for line in lines[2:-2]]
    assert {row[0] for row in rows} == {*LABELS.values(), "another"}
    bits = [float(row[1]) for row in rows]
    assert bits == sorted(bits, reverse=True)
    artifact = tmp_path / "artifact"
    shutil.copytree(tiny_artifact, artifact)
    assert main(["table", "--results", str(tmp_path), "--artifact", str(artifact)]) == 0
    comparison = json.loads((artifact / "metrics.json").read_text())["comparison"]
    assert [round(model["bits_per_character"], 3) for model in comparison] == bits
    assert [model["name"] for model in comparison if model["ours"]] == ["review-lm"]
    assert comparison[0].keys() >= {"minutes", "tokens", "parameters", "looked_up", "perplexity_per_token"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["table"], "There is no result in runs/quality"),
        (["transformer"], "There is no prepared corpus in corpus"),
        (["kneser-ney"], "There is no prepared corpus in corpus"),
        (["word-language-model", "--minutes=0"], "--minutes: "),
        (["review-lm", "--hidden=100"], "--hidden: Input should be a multiple of 32"),
        (["transformer", "--heads=3"], "3 heads cannot share a width of 256 equally"),
        (["kneser-ney", "--name=../x"], "--name: "),
    ],
)
def test_what_a_user_can_put_right_ends_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    assert complaint in sentence_of(capsys.readouterr().err)


def test_the_process_explains_itself() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.quality", "--help"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage: python -m benchmarks.quality" in ended.stdout
    assert all(command in ended.stdout for command in [*SMALL, "table"])
