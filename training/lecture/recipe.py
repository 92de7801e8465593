"""A model of the lecture from its training to its row in the table and its learning curve."""

from collections.abc import Callable
from dataclasses import dataclass

from training.corpus import Split
from training.lecture.measure import measure, point
from training.lecture.part import Described, Ground, Point, Result, Trained

SIZES = (10_000, 100_000, 1_000_000)
"""Words of the smaller trainings of a learning curve; its last has all."""
SMALL_SHARE = 0.1
"""Of a model's time, for each of these."""

Train = Callable[[Ground, Split, float], Trained]
"""Trains on a split for so many seconds of processor time, or as long as it needs."""


@dataclass(frozen=True)
class Recipe:
    """`run` is what a part runs."""

    described: Described
    train: Train
    curve: bool = False

    def run(self, ground: Ground, seconds: float) -> Result:
        sizes = [words for words in SIZES if self.curve and words < ground.words]
        trained = self.train(ground, ground.training(), seconds * (1 - SMALL_SHARE * len(sizes)))
        row = measure(ground, self.described, trained)
        points = []
        for words in sizes:
            smaller = self.train(ground, ground.training(words), seconds * SMALL_SHARE)
            points.append(point(ground, row.name, words, smaller.scorer))
        if self.curve and row.perplexity_per_word is not None:
            points.append(Point(name=row.name, words=ground.words, perplexity_per_word=row.perplexity_per_word))
        return Result(rows=[row], points=points)
