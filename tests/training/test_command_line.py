import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import TinyRun
from tests.reviews import made_up_reviews, write_json_lines
from training.__main__ import main
from training.export import load_artifact
from training.options import FitOptions

STEPS = ["prepare", "train", "embed", "evaluate", "export", "report", "compare", "lecture", "all"]


def figures_in(output: str) -> dict[str, float]:
    """The table that `evaluate` prints."""
    rows = re.findall(r"^([a-z ]+?) {2,}([\d,.]+)$", output, re.MULTILINE)
    return {name.replace(" ", "_"): float(value.replace(",", "")) for name, value in rows}


def sentence_of(output: str) -> str:
    """The one line of an error."""
    (line,) = output.splitlines()
    assert line.startswith("error: ")
    return line


def test_all_goes_from_reviews_to_an_artifact_that_scores(tiny_run: TinyRun) -> None:
    module, tokenizer = load_artifact(tiny_run.artifact)
    _, state = module.step(torch.tensor([5]), module.initial_state(1))

    def log_probability(words: list[str]) -> float:
        tokens = torch.tensor([tokenizer.encode(" ".join(words)).ids])
        scores, _, _ = module.score(tokens, torch.tensor([tokens.shape[1]]), state, False)
        return float(scores.sum())

    for record in made_up_reviews(20, seed=10):
        words = record["text"].split()
        assert log_probability(words) > log_probability(sorted(words)) + len(words) / 2


def test_all_prints_what_it_did(tiny_run: TinyRun) -> None:
    metrics = json.loads((tiny_run.artifact / "metrics.json").read_text())
    for name, sizes in metrics["corpus"].items():
        row = rf"^{name} +{sizes['reviews']:,} +{sizes['words']:,} +{sizes['tokens']:,}$"
        assert re.search(row, tiny_run.output, re.MULTILINE)
    assert f"Trained {metrics['training']['tokens']:,} tokens" in tiny_run.output
    assert f"Wrote {metrics['model']} to {tiny_run.artifact}/" in tiny_run.output


def test_all_prints_what_it_measured(tiny_run: TinyRun) -> None:
    quality = json.loads((tiny_run.artifact / "metrics.json").read_text())["quality"]["test"]["float32"]
    assert figures_in(tiny_run.output).items() >= quality.items()


def test_evaluate_measures_the_artifact_on_the_corpus_and_on_files(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    on_corpus = ["--corpus", str(tiny_run.corpus), "--artifact", str(tiny_run.artifact), "--json-file", str(figures)]
    assert main(["evaluate", *on_corpus]) == 0
    measured = json.loads(figures.read_text())
    assert measured == json.loads((tiny_run.artifact / "metrics.json").read_text())["quality"]["test"]["int8"]
    assert figures_in(capsys.readouterr().out) == measured

    reviews = write_json_lines(tmp_path / "r.json", made_up_reviews(40, seed=11))
    rated = ["evaluate", str(reviews), "--artifact", str(tiny_run.artifact), "--json-file", str(figures)]
    assert main(rated) == 0
    known = json.loads(figures.read_text())
    assert known["reviews"] == 40
    assert main([*rated, "--hide-ratings"]) == 0
    hidden = json.loads(figures.read_text())
    assert hidden["tokens"] == known["tokens"]
    assert hidden["bits_per_character"] != known["bits_per_character"]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_explains_itself(step: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([step, "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"usage: python -m training {step}" in text
    if step in ("train", "all"):
        for name, option in FitOptions.model_fields.items():
            assert f"--{name.replace('_', '-')}" in text
            assert str(option.description) in text


def test_every_step_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "{" + ",".join(STEPS) + "}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["prepare", "nowhere.json"], "There is no file nowhere.json"),
        (["prepare", "reviews.xml"], "does not say its format"),
        (["prepare", "good.json", "--vocabulary-size", "10"], "--vocabulary-size: "),
        (["train"], "There is no prepared corpus in corpus"),
        (["train", "--hidden", "0"], "--hidden: "),
        (["train", "--hidden", "100"], "--hidden: Input should be a multiple of 32"),
        (["train", "--hidden", "many"], "--hidden: "),
        (["train", "--cell", "transformer"], "--cell: "),
        (["evaluate"], "There is no checkpoint runs/default/checkpoint.pt"),
        (["evaluate", "--split", "all"], "--split: "),
        (["evaluate", "good.json", "--artifact", "model"], "model holds no artifact"),
        (["export"], "There is no checkpoint runs/default/checkpoint.pt"),
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
    (tmp_path / "reviews.xml").write_text("<review/>")
    write_json_lines(tmp_path / "good.json", made_up_reviews(10, seed=12))
    assert main(arguments) == 1
    assert complaint in sentence_of(capsys.readouterr().err)


def test_a_run_is_not_overwritten(tiny_run: TinyRun, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tiny_run.run / "checkpoint.pt").read_bytes()
    assert main(["train", "--corpus", str(tiny_run.corpus), "--run", str(tiny_run.run)]) == 1
    assert "add --resume" in sentence_of(capsys.readouterr().err)
    assert (tiny_run.run / "checkpoint.pt").read_bytes() == before


def test_another_vocabulary_is_refused(tiny_run: TinyRun, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in (["--artifact", str(tiny_run.artifact)], ["--run", str(tiny_run.run)]):
        assert main(["evaluate", "--corpus", str(corpus), *model]) == 1
        assert "another vocabulary" in sentence_of(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["train", "--no-such-option"], 2, "unrecognized arguments: --no-such-option"),
        (["bake"], 2, "invalid choice: 'bake'"),
        (["prepare", "nowhere.json"], 1, "error: There is no file nowhere.json"),
    ],
)
def test_the_process_itself_ends_without_a_traceback(
    tmp_path: Path, arguments: list[str], status: int, complaint: str
) -> None:
    here = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "training", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(here), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == status
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
