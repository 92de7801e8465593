"""What a part of the lecture is given, and what it returns: rows of the one table, points of the learning curve, and
sections with tables and plots of its own.

A part is a name, a share of the time, and a function; `parts.PARTS` lists them in the order of the page. What it
returns is kept as `NAME.json` in the run's folder, and the page is written from these files alone.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer

from training.corpus import SUMMARY_FILE, Split, corpus_vocabulary
from training.evaluate import Scorer
from training.language_model import LanguageModel

WHOLE_MINUTES = 60.0
"""What `Part.minutes` are meant for; `--minutes` scales them. Measuring takes what is left, which it needs."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Described(Strict):
    """What is said of a model before it is measured."""

    name: str
    formula: str
    source: str
    module: str = Field(description="file that it is written in, from the root of the repository")
    note: str = ""


class Row(Described):
    """A language model in the table. A perplexity is None if it is infinite (`impossible` tokens above 0)."""

    parameters: int
    seconds: float = Field(description="processor time of its training")
    tokens: int = Field(description="tokens read in training, some perhaps more than once")
    perplexity_per_word: float | None
    perplexity_per_token: float | None
    bits_per_character: float | None
    impossible: int = Field(0, description="tokens of the test reviews that have the probability 0")
    top_1: float = Field(description="share of next words that come first in the list")
    top_3: float
    words_per_second: float
    sample: str = Field(description="the beginning of a review that it wrote")


class Point(Strict):
    """A model's perplexity per word of some test reviews, trained on the first so many `words` of the training's."""

    name: str
    words: int
    perplexity_per_word: float


class Table(Strict):
    """A Markdown table; cells are text as it stands on the page."""

    columns: list[str]
    rows: list[list[str]]


class Plot(Strict):
    """Lines or points by series; `labels` name the points of a series one by one."""

    name: str = Field(pattern="^[a-z0-9-]+$", description="docs/figures/lecture-NAME.png")
    title: str
    across: str
    up: str
    kind: Literal["lines", "points"]
    logarithmic: bool = False
    series: dict[str, list[tuple[float, float]]]
    labels: dict[str, list[str]] = {}


class Section(Strict):
    """A heading of the second level and what stands below it, in this order: text, tables, plots."""

    title: str
    text: str
    tables: list[Table] = []
    plots: list[Plot] = []


class Result(Strict):
    """What a part has found in `seconds` of processor time."""

    seconds: float = 0.0
    rows: list[Row] = []
    points: list[Point] = []
    sections: list[Section] = []


@dataclass(frozen=True)
class Trained:
    """A language model that is ready to be measured; `seconds` of processor time in which it read `tokens`."""

    model: LanguageModel
    scorer: Scorer
    parameters: int
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Ground:
    """What all parts stand on: the prepared corpus, the shipped artifact, and a folder for files to share."""

    corpus: Path
    artifact: Path
    run: Path

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return corpus_vocabulary(self.corpus)

    @property
    def vocabulary_size(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def split(self, name: str) -> Split:
        return Split(self.corpus, name)

    @cached_property
    def words(self) -> int:
        """Words of the training reviews, as white space parts them."""
        return int(json.loads((self.corpus / SUMMARY_FILE).read_text())["splits"]["train"]["words"])

    def training(self, words: int | None = None) -> Split:
        """The training reviews, or as many of the first as have so many words, each held for as long as the mean."""
        split = self.split("train")
        return split if words is None else split.first(words * len(split.tokens) / self.words)


@dataclass(frozen=True)
class Part:
    """`run` is given the ground and the seconds of processor time that it may train for in all."""

    name: str
    minutes: float
    """Its training time where all parts together have WHOLE_MINUTES; 0 for one that takes what it needs."""
    run: Callable[[Ground, float], Result]
