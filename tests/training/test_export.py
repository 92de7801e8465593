import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import TinyRun
from tests.reviews import made_up_reviews, write_json_lines
from training.checkpoint import CHECKPOINT_FILE, load_network
from training.corpus import Split, prepare_corpus
from training.errors import TrainingError
from training.evaluate import artifact_scorer, evaluate, measurable_split
from training.export import DESCRIPTION_FILE, FORMAT_VERSION, MODEL_FILE, export, load_artifact
from training.model_card import model_card


@pytest.fixture
def metrics(tiny_artifact: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((tiny_artifact / "metrics.json").read_text())
    return parsed


def test_an_artifact_is_five_files(tiny_artifact: Path) -> None:
    assert sorted(path.name for path in tiny_artifact.iterdir()) == [
        "SHA256SUMS",
        "language_model.pt",
        "metrics.json",
        "model_card.md",
        "vocab.json",
    ]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sums_are_those_that_other_programs_compute(tiny_artifact: Path) -> None:
    check = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=tiny_artifact,
        capture_output=True,
        text=True,
        check=True,
    )
    assert check.stdout == "language_model.pt: OK\nvocab.json: OK\n"


def test_the_archive_describes_itself(tiny_artifact: Path, metrics: dict[str, Any]) -> None:
    extra = {DESCRIPTION_FILE: ""}
    module = torch.jit.load(str(tiny_artifact / MODEL_FILE), _extra_files=extra)
    description = json.loads(extra[DESCRIPTION_FILE])
    vocabulary = (tiny_artifact / "vocab.json").read_bytes()
    assert description["format_version"] == FORMAT_VERSION
    assert description["vocabulary_sha256"] == hashlib.sha256(vocabulary).hexdigest()
    assert description["tokens"] == {"opening_unrated": 0, "opening_by_stars": [1, 2, 3, 4, 5], "end": 6}
    assert description["state_size"] == module.state_size == 2 * 64
    for key in ("model", "created", "network", "parameters", "vocabulary_size", "quality"):
        assert description[key] == metrics[key]
    assert description["training_data"] == metrics["training"]["data"]


def test_metrics_say_what_was_trained(tiny_run: TinyRun, metrics: dict[str, Any]) -> None:
    network, saved = load_network(tiny_run.run / CHECKPOINT_FILE)
    assert metrics["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert metrics["network"] == network.options.model_dump()
    assert metrics["vocabulary_size"] == network.vocabulary_size
    assert metrics["model"].startswith("lstm-32x64-")
    assert saved["options"].items() <= metrics["training"].items()
    assert saved["progress"].items() <= metrics["training"].items()
    assert metrics["corpus"] == json.loads((tiny_run.corpus / "summary.json").read_text())["splits"]
    assert metrics["curve"] == [json.loads(line) for line in (tiny_run.run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["valid", "test"])
def test_the_measured_quality_is_that_of_the_artifact(tiny_run: TinyRun, metrics: dict[str, Any], name: str) -> None:
    module, tokenizer = load_artifact(tiny_run.artifact)
    measured = evaluate(artifact_scorer(module), measurable_split(Split(tiny_run.corpus, name), tokenizer))
    quality = metrics["quality"][name]
    assert quality["int8"] == measured.as_dict()
    assert quality["int8"]["bits_per_character"] < 3  # an untrained network needs more than log2(580) / 3 or so
    assert abs(quality["int8_change_percent"]) < 2
    change = quality["int8"]["bits_per_character"] / quality["float32"]["bits_per_character"] - 1
    assert quality["int8_change_percent"] == pytest.approx(100 * change, abs=0.02)


def test_every_figure_of_the_card_comes_from_the_metrics(tiny_artifact: Path, metrics: dict[str, Any]) -> None:
    card = (tiny_artifact / "model_card.md").read_text()
    assert card == model_card(metrics)
    assert f"# {metrics['model']}\n" in card
    assert f"{metrics['parameters']:,} parameters" in card
    assert "1 LSTM layer of 64 hidden units" in card
    assert f"{metrics['corpus']['train']['reviews']:,} reviews" in card
    for split, quality in metrics["quality"].items():
        row = next(line for line in card.splitlines() if line.startswith(f"| {split} |"))
        assert re.findall(r"[+-]?[\d.,]+", row) == [
            f"{quality['int8']['reviews']:,}",
            f"{quality['int8']['bits_per_character']:.4f}",
            f"{quality['int8']['perplexity_per_word']:.2f}",
            f"{quality['int8']['perplexity_per_token']:.2f}",
            f"{quality['float32']['bits_per_character']:.4f}",
            f"{quality['int8_change_percent']:+.2f}",
        ]


def test_the_table_of_the_card_is_a_table(metrics: dict[str, Any]) -> None:
    rows = [line for line in model_card(metrics).splitlines() if line.startswith("|")]
    assert [row.count("|") for row in rows] == [8] * 4


def test_the_name_changes_with_the_weights_and_the_arithmetic(
    tiny_run: TinyRun, metrics: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tiny_run.run / CHECKPOINT_FILE
    same = export(checkpoint, tiny_run.corpus, tmp_path / "same", "Made up.", 5, 0)
    saved = torch.load(checkpoint, weights_only=True)
    saved["network"]["bias"][7] += 1
    torch.save(saved, tmp_path / CHECKPOINT_FILE)
    other = export(tmp_path / CHECKPOINT_FILE, tiny_run.corpus, tmp_path / "other", "Made up.", 5, 0)
    monkeypatch.setattr("training.export.ARITHMETIC", 0)
    otherwise = export(checkpoint, tiny_run.corpus, tmp_path / "otherwise", "Made up.", 5, 0)
    assert same["model"] == metrics["model"]
    assert len({each["model"] for each in (same, other, otherwise)}) == 3
    assert same["training"]["data"] == "Made up."
    assert same["quality"]["test"]["int8"]["reviews"] == 5
    assert other["curve"] == []


def test_another_vocabulary_is_refused(tiny_run: TinyRun, tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "r.json", made_up_reviews(20, seed=9))
    prepare_corpus({name: [path] for name in ("train", "valid", "test")}, tmp_path, 300, 20, progress=False)
    with pytest.raises(TrainingError, match="another vocabulary"):
        export(tiny_run.run / CHECKPOINT_FILE, tmp_path, tmp_path / "model", "Made up.", None, 0)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("damage", ["missing", "cut off", "no vocabulary"])
def test_a_folder_without_an_artifact_is_refused(tiny_artifact: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "model"
    if damage != "missing":
        shutil.copytree(tiny_artifact, folder)
    if damage == "cut off":
        (folder / MODEL_FILE).write_bytes((tiny_artifact / MODEL_FILE).read_bytes()[:5000])
    if damage == "no vocabulary":
        (folder / "vocab.json").unlink()
    with pytest.raises(TrainingError, match="holds no artifact that can be loaded"):
        load_artifact(folder)
