"""The command, from the corpus to the page: every part for real, on a small corpus."""

import json
from pathlib import Path

import pytest

from training.__main__ import main
from training.baselines.kneser_ney import KneserNey, kneser_ney_scorer, token_stream
from training.corpus import Split, corpus_vocabulary
from training.evaluate import evaluate, measurable_split
from training.lecture import command, measure, parts, recipe
from training.lecture.part import Ground, Part, Result, Section

MADE_OF_THE_ARTIFACT = {"lstm", "embeddings-in-a-plane"}
WITHOUT_ROWS = {"skip-gram", "ranking", "pretraining", "ratings"}
MODELS = [part.name for part in parts.PARTS if part.name not in MADE_OF_THE_ARTIFACT | WITHOUT_ROWS]
NEXT_WORD_REVIEWS, MEASURED = 2, 30


def run(corpus: Path, folder: Path, *others: str) -> int:
    folders = ["--corpus", str(corpus), "--run", str(folder / "run"), "--document", str(folder / "lecture.md")]
    return main(["lecture", *folders, *others])


@pytest.fixture(scope="module")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results and the page of all models but the shipped one."""
    folder = tmp_path_factory.mktemp("lecture")
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(measure, "NEXT_WORD_REVIEWS", NEXT_WORD_REVIEWS)
        changed.setattr(command, "NEXT_WORD_REVIEWS", NEXT_WORD_REVIEWS)
        changed.setattr(recipe, "SIZES", (2_000, 10**9))
        assert run(corpus, folder, "--minutes", "0.05", *(word for name in MODELS for word in ("--only", name))) == 0
    return folder


def result(folder: Path, name: str) -> Result:
    return Result.model_validate_json((folder / "run" / f"{name}.json").read_bytes())


def test_every_model_has_a_row_with_figures(finished: Path) -> None:
    page = (finished / "lecture.md").read_text()
    for name in MODELS:
        (row,) = result(finished, name).rows
        assert f"| {row.name} |" in page
        assert f"### {row.name}\n\n    {row.formula}\n" in page
        assert (Path(__file__).parents[3] / row.module).is_file()
        assert 0 <= row.top_1 <= row.top_3 <= 1
        assert row.tokens > 0
        assert row.parameters > 0
        assert row.seconds >= 0
        assert row.words_per_second > 0
        if name != "trigram":
            assert row.impossible == 0
            assert row.perplexity_per_word is not None
            assert 1 < row.perplexity_per_word < 700**2


def test_maximum_likelihood_is_infinite_on_the_page(finished: Path) -> None:
    (row,) = result(finished, "trigram").rows
    assert row.perplexity_per_word is row.perplexity_per_token is row.bits_per_character is None
    assert row.impossible > 0
    page = (finished / "lecture.md").read_text()
    assert "| Trigram, maximum likelihood | ∞ | ∞ | ∞ |" in page
    assert f"it holds {row.impossible:,} for impossible" in page


def test_the_figures_are_those_of_the_evaluation(finished: Path, corpus: Path) -> None:
    tokenizer = corpus_vocabulary(corpus)
    model = KneserNey.estimate(token_stream(Split(corpus, "train")), 5, tokenizer.get_vocab_size())
    measured = evaluate(kneser_ney_scorer(model), measurable_split(Split(corpus, "test"), tokenizer))
    (row,) = result(finished, "kneser-ney-5").rows
    assert row.perplexity_per_word == pytest.approx(measured.perplexity, abs=1e-3)
    assert row.perplexity_per_token == pytest.approx(measured.token_perplexity, abs=1e-3)
    assert row.bits_per_character == pytest.approx(measured.bits_per_character, abs=1e-4)
    assert row.parameters == model.parameters > 3 * 700


def test_more_text_is_better_on_the_learning_curve(finished: Path, corpus: Path) -> None:
    words = json.loads((corpus / "summary.json").read_text())["splits"]["train"]["words"]
    few, all_ = result(finished, "kneser-ney-5").points
    assert (few.words, all_.words) == (2_000, words)  # 10⁹ words are more than there are
    assert few.perplexity_per_word > all_.perplexity_per_word
    assert (finished / "figures" / "lecture-curve.png").read_bytes()[:4] == b"\x89PNG"
    assert f"| perplexity per word after | 2,000 words | {words:,} words |" in (finished / "lecture.md").read_text()


def test_what_has_a_result_is_not_run_again(
    finished: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "NEXT_WORD_REVIEWS", NEXT_WORD_REVIEWS)
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert run(corpus, finished, "--minutes", "0.05", "--only", "trigram", "--only", "recurrent") == 0
    assert " s\n" not in capsys.readouterr().out
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_the_page_is_written_from_the_files_alone(finished: Path, tmp_path: Path) -> None:
    arguments = ["--run", str(finished / "run"), "--document", str(tmp_path / "lecture.md")]
    assert main(["lecture", "--report", "--corpus", str(tmp_path), *arguments]) == 0
    for name in ("lecture.md", "lecture.json", "figures/lecture-curve.png"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_results_of_another_budget_are_not_mixed(
    finished: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(corpus, finished, "--minutes", "7") == 1
    assert "tells other settings" in capsys.readouterr().err


def test_a_broken_result_is_told_by_its_file(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "PARTS", (Part("first", 0, lambda ground, seconds: Result()),))
    assert run(corpus, tmp_path) == 0
    (tmp_path / "run" / "first.json").write_text('{"rows": [')
    assert run(corpus, tmp_path) == 1
    assert "first.json cannot be read; delete it" in capsys.readouterr().err


def test_what_was_done_before_a_stop_is_kept(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[float] = []

    def first(ground: Ground, seconds: float) -> Result:
        given.append(seconds)
        return Result(sections=[Section(title="First", text="It was done.")])

    def second(ground: Ground, seconds: float) -> Result:
        if len(given) == 1:
            given.append(seconds)
            raise KeyboardInterrupt
        return Result(sections=[Section(title="Second", text="It was done, too.")])

    monkeypatch.setattr(parts, "PARTS", (Part("first", 10, first), Part("second", 20, second)))
    assert run(corpus, tmp_path, "--minutes", "6") == 1
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["first.json", "settings.json"]
    assert run(corpus, tmp_path, "--minutes", "6") == 0
    assert given == [60.0, 120.0]  # their shares of 6 minutes in place of 60
    page = (tmp_path / "lecture.md").read_text()
    assert page.index("## First\n\nIt was done.") < page.index("## Second\n\nIt was done, too.")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "transformer"], "There is no part transformer; there are trigram, "),
        (["--report"], "There is no result in"),
        (["--minutes", "0"], "--minutes: Input should be greater than 0"),
    ],
)
def test_what_a_user_can_put_right_ends_in_a_sentence(
    arguments: list[str], complaint: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(corpus, tmp_path, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert complaint in line


def test_an_artifact_of_another_vocabulary_is_refused(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(corpus, tmp_path, "--only", "lstm") == 1
    assert "model has another vocabulary than" in capsys.readouterr().err
