"""`evaluate --full` from the command line, and that what it says agrees with what measures it."""

import contextlib
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.conftest import TinyRun
from tests.reviews import made_up_reviews, write_json_lines
from tests.training.toys import END_MARK, Chain
from training.__main__ import main
from training.baselines.kneser_ney import KneserNey, kneser_ney_scorer, token_stream
from training.corpus import Split, corpus_vocabulary
from training.errors import TrainingError
from training.evaluate import Measurable, evaluate, measurable_split
from training.evaluation_tables import evaluation_tables
from training.export import load_artifact
from training.full_evaluation import Amounts, evaluate_fully, spread
from training.language_model import LanguageModel
from training.memorisation import longest_shared_runs, training_words, words_of
from training.model_card import model_card
from training.sampling import write_reviews
from training.word_prediction import measure_word_prediction

FEW = ["--reviews=6", "--generated=8"]


@dataclass(frozen=True)
class Measured:
    artifact: Path
    before: dict[str, Any]
    metrics: dict[str, Any]
    output: str

    @property
    def evaluation(self) -> dict[str, Any]:
        evaluation: dict[str, Any] = self.metrics["evaluation"]
        return evaluation


@pytest.fixture(scope="module")
def measured(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    artifact = tmp_path_factory.mktemp("measured") / "model"
    shutil.copytree(tiny_run.artifact, artifact)
    before = json.loads((artifact / "metrics.json").read_text())
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["evaluate", "--full", "--artifact", str(artifact), "--corpus", str(tiny_run.corpus), *FEW]) == 0
    return Measured(artifact, before, json.loads((artifact / "metrics.json").read_text()), printed.getvalue())


def test_the_figures_are_added_to_the_artifact(measured: Measured) -> None:
    assert {key: value for key, value in measured.metrics.items() if key != "evaluation"} == measured.before
    assert measured.evaluation["measured_on"] == "the test reviews"
    assert (measured.artifact / "model_card.md").read_text() == model_card(measured.metrics)
    assert evaluation_tables(measured.evaluation) in model_card(measured.metrics)
    assert evaluation_tables(measured.evaluation) in measured.output


def test_told_ratings_measure_as_the_quick_evaluation_does(measured: Measured) -> None:
    told, hidden = (measured.evaluation["ratings"][name] for name in ("told", "hidden"))
    assert told == measured.metrics["quality"]["test"]["int8"]
    assert hidden["tokens"] == told["tokens"]
    assert hidden["bits_per_character"] != told["bits_per_character"]
    by_stars = [each["told"] for each in measured.evaluation["ratings"]["by_stars"].values()]
    assert sum(each["reviews"] for each in by_stars) == measured.evaluation["ratings"]["recognised"]["rated_reviews"]


def test_next_words_and_writing_are_those_of_the_artifact(measured: Measured, tiny_run: TinyRun) -> None:
    module, tokenizer = load_artifact(measured.artifact)
    model: Any = module
    reviews = list(measurable_split(Split(tiny_run.corpus, "test"), tokenizer))
    expected = measure_word_prediction(model, tokenizer, spread(reviews, 6)).as_dict()
    assert measured.evaluation["next_words"] == {"model": expected}
    assert expected["top_3_accuracy"] > 0.3  # the made-up reviews leave little choice
    written = [words_of(tokenizer.decode(tokens)) for tokens in write_reviews(model, 8, seed=1)]
    generated = measured.evaluation["writing"]["generated"]
    assert generated["words"] == sum(map(len, written))
    runs = longest_shared_runs(written, training_words(Split(tiny_run.corpus, "train"), tokenizer))
    assert generated["longest_shared_run"]["longest"] == max(runs)
    assert generated["longest_shared_run"]["median"] == np.median(runs)
    real = measured.evaluation["writing"]["real"]
    assert (generated["reviews"], real["reviews"]) == (8, 8)
    assert measured.evaluation["writing"]["distinct_of_words"] == min(generated["words"], real["words"])


def test_every_table_is_a_table_of_the_figures(measured: Measured) -> None:
    tables = evaluation_tables(measured.evaluation).split("### ")[1:]
    assert [table.splitlines()[0] for table in tables] == ["By rating", "Next words", "What it writes"]
    for table in tables:
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1
        assert re.fullmatch(r"[|-]+", rows[1])
        assert max(map(len, table.splitlines())) <= 120
    words = measured.evaluation["next_words"]["model"]
    assert f"Over all {words['words']:,} words of 6 of these reviews, each given its rating and all" in tables[1]
    for name, value in (
        ("top-3 accuracy", f"{100 * words['top_3_accuracy']:.1f}%"),
        ("keystroke savings, three suggestions", f"{100 * words['keystroke_savings']:.1f}%"),
        ("mean reciprocal rank, 0 beyond 10", f"{words['mean_reciprocal_rank_at_10']:.3f}"),
    ):
        assert f"\n| {name} | {value} |\n" in tables[1]
    generated, real = (measured.evaluation["writing"][name] for name in ("generated", "real"))
    assert f"\n| self-BLEU-4 | {generated['self_bleu_4']:.3f} | {real['self_bleu_4']:.3f} |\n" in tables[2]


def test_hidden_ratings_are_hidden_from_the_next_words_alone(
    measured: Measured, tiny_run: TinyRun, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    options = ["--run", str(tiny_run.run), "--corpus", str(tiny_run.corpus), "--json-file", str(figures), *FEW]
    assert main(["evaluate", "--full", "--hide-ratings", *options]) == 0
    hidden = json.loads(figures.read_text())
    assert hidden["ratings"] == measured.evaluation["ratings"]  # a run is measured in int8, as it will be served
    assert hidden["writing"] == measured.evaluation["writing"]
    assert hidden["next_words"]["model"]["words"] == measured.evaluation["next_words"]["model"]["words"]
    assert hidden["next_words"] != measured.evaluation["next_words"]
    assert (hidden["ratings_told"], measured.evaluation["ratings_told"]) == (False, True)


def test_reviews_of_a_file_without_ratings_are_measured(
    tiny_run: TinyRun, measured: Measured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [{**record, "stars": None} for record in made_up_reviews(12, seed=13)]
    reviews = write_json_lines(tmp_path / "unrated.json", records)
    artifact = tmp_path / "model"
    shutil.copytree(measured.artifact, artifact)
    options = ["--artifact", str(artifact), "--corpus", str(tiny_run.corpus), *FEW]
    assert main(["evaluate", str(reviews), "--full", *options]) == 0
    evaluation = json.loads((artifact / "metrics.json").read_text())["evaluation"]
    assert evaluation["measured_on"] == "unrated.json"
    assert evaluation["ratings"]["told"]["reviews"] == 12
    assert "most probable is its true one" not in capsys.readouterr().out


def test_an_artifact_that_cannot_take_the_figures_is_refused(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = tmp_path / "model"
    shutil.copytree(tiny_run.artifact, artifact)
    (artifact / "metrics.json").write_text("{")
    assert main(["evaluate", "--full", "--artifact", str(artifact), "--corpus", str(tiny_run.corpus), *FEW]) == 1
    assert "holds no metrics.json that can be read" in capsys.readouterr().err


def test_without_the_training_reviews_nothing_is_measured(
    tiny_run: TinyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--artifact", str(tiny_run.artifact), "--corpus", str(tmp_path)]
    assert main(["evaluate", str(tiny_run.reviews), "--full", *options]) == 1
    assert "There is no prepared corpus" in capsys.readouterr().err


@pytest.fixture(scope="module")
def reviews(corpus: Path, tokenizer: Tokenizer) -> list[Measurable]:
    return list(measurable_split(Split(corpus, "test"), tokenizer))


def test_a_baseline_stands_beside_the_model(tiny_run: TinyRun, measured: Measured, tmp_path: Path) -> None:
    split = Split(tiny_run.corpus, "train")
    tokenizer = corpus_vocabulary(tiny_run.corpus)
    baseline = KneserNey.estimate(token_stream(split), 3, tokenizer.get_vocab_size())
    baseline.save(tmp_path / "model.npz")
    artifact = tmp_path / "model"
    shutil.copytree(measured.artifact, artifact)
    options = ["--artifact", str(artifact), "--corpus", str(tiny_run.corpus), *FEW]
    assert main(["evaluate", "--full", "--baseline", str(tmp_path / "model.npz"), *options]) == 0
    evaluation = json.loads((artifact / "metrics.json").read_text())["evaluation"]
    reviews = spread(list(measurable_split(Split(tiny_run.corpus, "test"), tokenizer)), 6)
    expected = measure_word_prediction(baseline, tokenizer, reviews).as_dict()
    assert evaluation["next_words"] == {
        "model": measured.evaluation["next_words"]["model"],
        "Kneser–Ney 3-gram": expected,
    }
    scored = evaluate(kneser_ney_scorer(baseline), reviews)
    assert expected["bits_per_character"] == pytest.approx(scored.bits_per_character, abs=1e-4)
    card = (artifact / "model_card.md").read_text()
    assert "| | this model | Kneser–Ney 3-gram |\n|---|---|---|\n" in card
    both = [f"{100 * each['top_3_accuracy']:.1f}%" for each in evaluation["next_words"].values()]
    assert f"| top-3 accuracy | {both[0]} | {both[1]} |" in card


def test_a_model_of_another_vocabulary_is_refused(
    corpus: Path, tokenizer: Tokenizer, reviews: list[Measurable], measured: Measured
) -> None:
    module, _ = load_artifact(measured.artifact)
    other: Any = module
    chain = Chain(tokenizer, {END_MARK: 1.0}, {END_MARK: 1.0})
    models: dict[str, LanguageModel] = {"model": chain, "5-gram": other}
    with pytest.raises(TrainingError, match=r"5-gram knows [\d,]+ tokens"):
        evaluate_fully(models, tokenizer, reviews, Split(corpus, "train"), Amounts(5, 5))


def test_reviews_are_spread_evenly(reviews: list[Measurable]) -> None:
    places = {id(review): place for place, review in enumerate(reviews)}
    assert [places[id(review)] for review in spread(reviews, 4)] == [0, 7, 15, 22]
    assert spread(reviews, 30) == spread(reviews, 99) == reviews
