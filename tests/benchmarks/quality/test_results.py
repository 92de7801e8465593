import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.quality.results import Trained, machine, measure, read_results, table, write_result
from training.corpus import Split
from training.errors import TrainingError


def result(bits: float, **changes: Any) -> dict[str, Any]:
    figures = {"bits_per_character": bits, "perplexity_per_word": 100.04, "perplexity_per_token": 80.0, "reviews": 4000}
    return {
        "quality": {"valid": {**figures, "bits_per_character": 9.0}, "test": figures},
        "parameters": 5_823_104, "looked_up": 0, "tokens": 7_350_000, "minutes": 12.003, "threads": 2,
        "machine": "a processor", "corpus": {"train": {"tokens": 10}},
        **changes,
    }  # fmt: skip


def even(tokens: Tensor, lengths: Tensor) -> Tensor:
    return torch.full((len(tokens), tokens.shape[1] - 1), -math.log(64))


def test_measuring_tells_all_that_is_known(corpus: Path) -> None:
    measured = measure(Trained(even, 12, 34, 567, 90.0, {"layers": 3}), corpus)
    for name in ("valid", "test"):
        assert measured["quality"][name]["perplexity_per_token"] == pytest.approx(64)
        assert measured["quality"][name]["tokens"] == len(Split(corpus, name).tokens)
        assert measured["corpus"][name]["tokens"] == len(Split(corpus, name).tokens)
    known = {"parameters": 12, "looked_up": 34, "tokens": 567, "minutes": 1.5, "options": {"layers": 3}}
    assert measured.items() >= {**known, "threads": torch.get_num_threads(), "machine": machine()}.items()


def test_the_table_shows_the_test_figures(tmp_path: Path) -> None:
    write_result(tmp_path / "new", "review-lm", result(1.2345, looked_up=16_800_000))
    assert read_results(tmp_path / "new").keys() == {"review-lm"}
    assert table(read_results(tmp_path / "new")).splitlines() == [
        "| on 4,000 test reviews | bits per character | perplexity per word | per token | parameters | looked up "
        "| tokens read | minutes | threads |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        "| **review-lm** | 1.234 | 100.0 | 80.0 | 5.8 M | 16.8 M | 7.3 M | 12.0 | 2 |",
        "",
        "Measured on a processor.",
    ]


def test_the_table_ends_with_the_best(tmp_path: Path) -> None:
    for name, bits in {"kneser-ney": 1.5, "review-lm": 1.3, "transformer": 1.4, "review-lm-wide": 1.2}.items():
        write_result(tmp_path, name, result(bits, machine="one" if bits < 1.35 else "two"))
    lines = table(read_results(tmp_path)).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:6]] == [
        "| modified Kneser–Ney 5-gram",
        "| GPT-style transformer",
        "| **review-lm**",
        "| review-lm-wide",
    ]
    assert lines[-1] == "Measured on two; one."


def test_results_of_different_corpora_are_not_compared(tmp_path: Path) -> None:
    write_result(tmp_path, "kneser-ney", result(1.5))
    write_result(tmp_path, "transformer", result(1.4, corpus={"train": {"tokens": 11}}))
    with pytest.raises(TrainingError, match=r"transformer.json and kneser-ney.json in .* are of different corpora"):
        read_results(tmp_path)


def test_a_folder_without_results_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"run `python -m benchmarks.quality review-lm` first"):
        read_results(tmp_path / "nowhere")
