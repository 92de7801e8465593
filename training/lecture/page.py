"""The page of the lecture, written from the kept results alone."""

import re
from collections.abc import Iterator
from pathlib import Path

from training.lecture.kept import Kept, write_json
from training.lecture.part import Plot, Point, Row, Section, Table
from training.lecture.plots import draw
from training.lecture.recipe import SMALL_SHARE

INTRODUCTION = """\
# From the trigram to the RNN

The language models of the lecture, each trained on the same {reviews:,} reviews ({words:,} words) and measured on
{measured:,} reviews that none has seen, by

```sh
python -m training lecture --minutes {minutes:g}
```

which took {spent:.0f} minutes of processor time on one thread ({machine}). All read the same tokens, byte-level BPE of
which a word has one or a few. So all can spell every word, and their perplexities per word compare. None is told a
review's rating.
"""
LEGEND = """\
Perplexity per word counts punctuation marks and the end of the review as words. Top-1 and top-3 are shares of the next
words of {next_words:,} of these reviews that come first, or among the first three, of all words that the model could
say there. The parameters of count models are the numbers that they keep. Training seconds and words scored in a second
are processor time; the shipped network was trained once for all, not in these minutes.

Counts have read all the text. The neural models stop when their time is spent, before they have read it once (see the
tokens read), which favours what is cheap to train: the table does not tell which would be best in the end.
"""
CURVE = """\
Each of the smaller texts is the beginning of the whole. The neural models have {share:.0%} of their time for each of
them and make at most ten passes, so that what they make of the largest of these is cut short.
"""
NUMBER = re.compile(r"[\d.,%()∞– M]+")
"""A cell of a column that is aligned to the right."""
COLUMNS = [
    "model",
    "perplexity per word",
    "per token",
    "bits per character",
    "top-1",
    "top-3",
    "parameters",
    "training seconds",
    "tokens read",
    "words/s scored",
]


def write_page(document: Path, kept: Kept) -> list[Path]:
    """Writes the page, beside it the JSON that it tells, and the figures; returns all files."""
    figures = document.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    document.write_text(page(kept), encoding="utf-8")
    json = document.with_suffix(".json")
    write_json(json, kept)
    written = [document, json]
    for plot in plots(kept):
        written.append(figures / f"lecture-{plot.name}.png")
        draw(plot, written[-1])
    return written


def page(kept: Kept) -> str:
    """The Markdown of the page."""
    return "\n".join(_blocks(kept))


def plots(kept: Kept) -> list[Plot]:
    """All plots of the page."""
    sections = [section for result in kept.parts.values() for section in result.sections]
    return [*_curve(kept), *(plot for section in sections for plot in section.plots)]


def _blocks(kept: Kept) -> Iterator[str]:
    spent = sum(result.seconds for result in kept.parts.values()) / 60
    settings = kept.settings
    yield INTRODUCTION.format(
        reviews=settings.training_reviews,
        words=settings.training_words,
        minutes=settings.minutes,
        spent=spent,
        machine=settings.machine,
        measured=settings.measured_reviews,
    )
    rows = [row for result in kept.parts.values() for row in result.rows]
    yield _table(Table(columns=COLUMNS, rows=[_cells(row) for row in rows]))
    yield LEGEND.format(next_words=settings.next_word_reviews)
    for plot in _curve(kept):
        yield "## Perplexity by the size of the training text\n"
        yield CURVE.format(share=SMALL_SHARE)
        yield _picture(plot)
        yield _table(_curve_table(_points(kept)))
    yield "## The models one by one\n"
    for row in rows:
        yield _model(row)
    for result in kept.parts.values():
        for section in result.sections:
            yield _section(section)


def _cells(row: Row) -> list[str]:
    perplexities = [
        "∞" if value is None else form.format(value)
        for value, form in (
            (row.perplexity_per_word, "{:.1f}"),
            (row.perplexity_per_token, "{:.1f}"),
            (row.bits_per_character, "{:.3f}"),
        )
    ]
    return [
        row.name,
        *perplexities,
        f"{row.top_1:.1%}",
        f"{row.top_3:.1%}",
        f"{row.parameters / 1e6:,.2f} M",
        f"{row.seconds:,.0f}",
        f"{row.tokens / 1e6:,.1f} M",
        f"{row.words_per_second:,.0f}",
    ]


def _model(row: Row) -> str:
    impossible = f" Of the test tokens it holds {row.impossible:,} for impossible." if row.impossible else ""
    text = " ".join(row.sample.split())
    return f"""\
### {row.name}

    {row.formula}

{row.source}; [{row.module}](../{row.module}). {row.note}{impossible} It writes:

> {_escaped(text)}
"""


def _section(section: Section) -> str:
    parts = [f"## {section.title}\n", f"{section.text}\n", *map(_table, section.tables), *map(_picture, section.plots)]
    return "\n".join(parts)


def _points(kept: Kept) -> list[Point]:
    return [point for result in kept.parts.values() for point in result.points]


def _curve(kept: Kept) -> list[Plot]:
    series: dict[str, list[tuple[float, float]]] = {}
    for point in _points(kept):
        series.setdefault(point.name, []).append((point.words, point.perplexity_per_word))
    if not series:
        return []
    title = "Perplexity of test reviews by the size of the training text"
    axes = {"across": "training words", "up": "perplexity per word"}
    return [Plot(name="curve", title=title, kind="lines", logarithmic=True, series=series, **axes)]


def _curve_table(points: list[Point]) -> Table:
    sizes = sorted({point.words for point in points})
    names = list(dict.fromkeys(point.name for point in points))
    found = {(point.name, point.words): f"{point.perplexity_per_word:,.1f}" for point in points}
    rows = [[name, *(found.get((name, size), "–") for size in sizes)] for name in names]
    return Table(columns=["perplexity per word after", *(f"{size:,} words" for size in sizes)], rows=rows)


def _table(table: Table) -> str:
    columns = zip(*table.rows, strict=True)
    ruler = ["---:" if all(map(NUMBER.fullmatch, cells)) else "---" for cells in columns]
    lines = [table.columns, ruler, *table.rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _picture(plot: Plot) -> str:
    return f"![{plot.title}](figures/lecture-{plot.name}.png)\n"


def _escaped(text: str) -> str:
    """Text as Markdown shows it letter by letter."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|~" else letter for letter in text)
