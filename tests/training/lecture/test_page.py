from pathlib import Path

from training.lecture.kept import Kept, Settings
from training.lecture.page import page, plots, write_page
from training.lecture.part import Plot, Point, Result, Row, Section, Table

DOCUMENT = Path(__file__).parents[3] / "docs" / "lecture.md"
SETTINGS = Settings(
    minutes=6,
    training_words=12_000,
    training_reviews=100,
    measured_reviews=1000,
    next_word_reviews=50,
    machine="1 core, of a kind",
)


def row(name: str, perplexity: float | None, sample: str = "Good.") -> Row:
    return Row(
        name=name,
        formula="p = 1",
        source="nobody",
        module="training/lecture/page.py",
        parameters=1_500_000,
        seconds=90.4,
        tokens=2_000_000,
        perplexity_per_word=perplexity,
        perplexity_per_token=perplexity and perplexity / 2,
        bits_per_character=perplexity and 1.25,
        impossible=0 if perplexity else 1234,
        top_1=0.25,
        top_3=0.5,
        words_per_second=12_345,
        sample=sample,
    )


def test_the_committed_page_tells_the_committed_figures() -> None:
    kept = Kept.model_validate_json(DOCUMENT.with_suffix(".json").read_bytes())
    assert DOCUMENT.read_text() == page(kept)
    for plot in plots(kept):
        assert (DOCUMENT.parent / "figures" / f"lecture-{plot.name}.png").is_file()
    for result in kept.parts.values():
        assert all((DOCUMENT.parents[1] / row.module).is_file() for row in result.rows)


def test_a_row_of_figures() -> None:
    written = page(Kept(settings=SETTINGS, parts={"a": Result(rows=[row("Exact", 80.04), row("Never", None)])}))
    assert "| Exact | 80.0 | 40.0 | 1.250 | 25.0% | 50.0% | 1.50 M | 90 | 2.0 M | 12,345 |" in written
    assert "| Never | ∞ | ∞ | ∞ | 25.0% |" in written
    assert "Of the test tokens it holds 1,234 for impossible." in written


def test_a_learning_curve_has_a_line_a_model_and_a_column_a_size() -> None:
    points = [("Exact", 1000, 90.0), ("Exact", 12_000, 80.0), ("Other", 12_000, 1234.5)]
    made = [Point(name=name, words=words, perplexity_per_word=value) for name, words, value in points]
    kept = Kept(settings=SETTINGS, parts={"a": Result(points=made[:2]), "b": Result(points=made[2:])})
    (plot,) = plots(kept)
    assert plot.series == {"Exact": [(1000, 90.0), (12_000, 80.0)], "Other": [(12_000, 1234.5)]}
    written = page(kept)
    assert "| perplexity per word after | 1,000 words | 12,000 words |" in written
    assert "| Exact | 90.0 | 80.0 |\n| Other | – | 1,234.5 |" in written


def test_what_a_model_wrote_is_shown_letter_by_letter() -> None:
    written = page(Kept(settings=SETTINGS, parts={"a": Result(rows=[row("Exact", 2.0, "*Wow*\n\n# 1 <b>\n")])}))
    assert "\n> \\*Wow\\* \\# 1 \\<b\\>\n" in written


def test_sections_stand_below_with_tables_and_plots(tmp_path: Path) -> None:
    plot = Plot(
        name="words",
        title="Words",
        across="x",
        up="y",
        kind="points",
        series={"first": [(0, 0), (1, 2)]},
        labels={"first": ["good", "bad"]},
    )
    table = Table(columns=["word", "times", "neighbours"], rows=[["a|b", "1,234", "good, great"]])
    section = Section(title="Neighbours", text="Nearest first.", tables=[table], plots=[plot])
    kept = Kept(settings=SETTINGS, parts={"a": Result(seconds=150, sections=[section])})
    files = write_page(tmp_path / "lecture.md", kept)
    written = (tmp_path / "lecture.md").read_text()
    assert "which took 2 minutes of processor time" in written
    expected = [
        "## Neighbours\n\nNearest first.\n",
        "| word | times | neighbours |\n| --- | ---: | --- |\n| a\\|b | 1,234 | good, great |\n",
        "![Words](figures/lecture-words.png)",
    ]
    places = [written.index(part) for part in expected]
    assert places == sorted(places)
    assert files == [tmp_path / name for name in ("lecture.md", "lecture.json", "figures/lecture-words.png")]
    assert Kept.model_validate_json(files[1].read_bytes()) == kept
    assert files[2].read_bytes()[:4] == b"\x89PNG"
