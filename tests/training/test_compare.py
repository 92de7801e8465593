import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import CliApp

from training.__main__ import CommandLine, main
from training.compare import RESULTS_FILE, measure
from training.compare_report import draw, write_document
from training.options import FitOptions
from training.variants import BASE, VARIANTS, Variant

DOCUMENT = Path(__file__).parents[2] / "training" / "OPTIONS.md"
NOT_TRIED = {
    *("epochs", "minutes", "start", "seed", "warmup", "learning_rate", "table_rate"),
    *("embedding", "hidden", "ngram_size", "hidden_ratings", "teachers", "teachers_share"),
}
"""Sizes, budgets and rates: options that every row has, with a value that suits it; and what asks for another run."""


def parsed(arguments: str) -> FitOptions:
    """What the command line makes of a row's command line."""
    command = CliApp.run(CommandLine, cli_args=["train", *arguments.split()], cli_cmd_method_name="model_dump").train
    assert command is not None
    return FitOptions(**command.model_dump(include=set(FitOptions.model_fields)))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_command_line_of_a_row_is_what_was_measured(variant: Variant) -> None:
    assert parsed(variant.arguments) == FitOptions(**variant.changes)


def test_rows_have_names_of_their_own_that_the_command_line_can_list() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names) > 30
    assert not [name for name in names if "," in name]
    assert len({variant.arguments for variant in VARIANTS}) == len(names)


def test_every_option_and_every_choice_is_in_the_document() -> None:
    document = DOCUMENT.read_text()
    for name, field in FitOptions.model_fields.items():
        choices = [choice for choice in typing.get_args(field.annotation) if isinstance(choice, str)]
        told = [f"--{name.replace('_', '-')} {choice}" for choice in choices if choice != field.default]
        for option in told or ([] if name in NOT_TRIED else [f"--{name.replace('_', '-')}"]):
            assert re.search(rf"\| [^|]*`[^`]*{option}\b[^`]*` \|", document), option


def test_the_document_is_the_one_that_the_rows_make(tmp_path: Path) -> None:
    """But for the figures, which stand in its last columns and in what it says of the budget."""

    def without_figures(path: Path) -> list[list[str]]:
        return [line.split(" | ")[:4] for line in path.read_text().splitlines() if line.startswith("| ")]

    write_document(tmp_path / "OPTIONS.md", tmp_path / "plot.png", {"seconds": 1, "reviews": 1}, {})
    assert without_figures(DOCUMENT) == without_figures(tmp_path / "OPTIONS.md")


CHOSEN = ["mini-batch SGD", "pre-trained and frozen"]


def compare(corpus: Path, folder: Path, *more: str) -> int:
    files = [f"--run={folder / 'run'}", f"--document={folder / 'OPTIONS.md'}", f"--figure={folder / 'a' / 'plot.png'}"]
    return main(["compare", f"--corpus={corpus}", *files, "--reviews=20", *more])


def results_in(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "run" / RESULTS_FILE).read_text())["results"]
    return results


def test_options_are_measured_once_and_shown(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The base has numbers for a real vocabulary; this one has too few tokens for embeddings of that size.
    monkeypatch.setitem(BASE, "embedding", 16)
    monkeypatch.setitem(BASE, "hidden", 32)
    only = [f"--only={name}" for name in CHOSEN]
    assert compare(corpus, tmp_path, *only, "--tokens=5000", "--workers=2") == 0
    first = results_in(tmp_path)
    assert set(first) == set(CHOSEN)
    for name, result in first.items():
        assert 100 < result["perplexity_per_token"] < 800  # of 700 tokens
        assert result["tokens"] == 4 * 32 * 48
        row = f"| {result['perplexity_per_token']:.1f} | {result['bits_per_character']:.3f} | {result['tokens']:,} |"
        assert re.search(rf"^\| {name} \|.* {re.escape(row)}$", (tmp_path / "OPTIONS.md").read_text(), re.MULTILINE)
    assert (tmp_path / "a" / "plot.png").read_bytes().startswith(b"\x89PNG")

    # What was measured stays; what was not is added.
    told = {**first, CHOSEN[0]: {**first[CHOSEN[0]], "perplexity_per_token": 123.0}}
    content = json.loads((tmp_path / "run" / RESULTS_FILE).read_text())
    (tmp_path / "run" / RESULTS_FILE).write_text(json.dumps({**content, "results": told}))
    assert compare(corpus, tmp_path, *only, "--only=GRU", "--tokens=5000") == 0
    second = results_in(tmp_path)
    assert second == {**told, "GRU": second["GRU"]}
    assert "| 123.0 |" in (tmp_path / "OPTIONS.md").read_text()

    capsys.readouterr()
    assert compare(corpus, tmp_path, *only, "--tokens=6000") == 1
    assert "measured with other settings" in capsys.readouterr().err


def test_a_name_that_no_option_has_is_refused(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(corpus, tmp_path, "--only=GRU", "--only=Transformer") == 1
    assert "There is no option Transformer" in capsys.readouterr().err


def test_an_option_that_makes_training_fail_is_told_and_the_others_go_on(corpus: Path, tmp_path: Path) -> None:
    small = {"embedding": 16, "hidden": 32, "epochs": 0.5}
    failed = measure(FitOptions(**small, optimizer="sgd", learning_rate=1e30, clip=0, warmup=0), corpus, 20)
    assert "lower --learning-rate" in failed["failed"]
    results = {"mini-batch SGD": failed, "GRU": measure(FitOptions(**small, cell="gru"), corpus, 20)}
    write_document(tmp_path / "OPTIONS.md", tmp_path / "plot.png", {"tokens": 1, "reviews": 20}, results)
    assert "`--optimizer sgd` | diverged | – | – |" in (tmp_path / "OPTIONS.md").read_text()
    draw(tmp_path / "plot.png", results)
    assert (tmp_path / "plot.png").stat().st_size > 5000
