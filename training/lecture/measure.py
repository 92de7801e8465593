"""How a model of the lecture is measured: all in the same way, and none is told a review's rating.

Perplexity is of REVIEWS test reviews (`training.evaluate`); next words are those of NEXT_WORD_REVIEWS of them, each
predicted from all before it among all words that the vocabulary can spell (`training.word_prediction`). Words that a
model holds for equally probable, as counts do with many, stand in an order that was drawn once for all models.
"""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from training.evaluate import Evaluation, Measurable, Scorer, evaluate, measurable_split
from training.full_evaluation import spread
from training.language_model import LanguageModel
from training.lecture.part import Described, Ground, Point, Row, Trained
from training.sampling import write_reviews
from training.word_prediction import measure_word_prediction

REVIEWS, NEXT_WORD_REVIEWS = 1000, 100
"""Evenly from the first to the last."""
SAMPLE_TOKENS = 40
"""Of a review that a model writes, so many are shown: too few to tell again what somebody wrote."""
SEED = 7
TIE = 1e-9
"""Nats that decide between tokens of the same probability: far less than single precision tells apart."""


class Untied:
    """A model no two of whose tokens are equally probable: each gets up to TIE nats more, always the same.

    A list of the most probable words would have all those of one probability in its first place.
    """

    def __init__(self, model: LanguageModel, vocabulary_size: int) -> None:
        self.model, self.initial_state = model, model.initial_state
        self.more = TIE * torch.rand(vocabulary_size, generator=torch.Generator().manual_seed(SEED), dtype=torch.double)

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        log_probabilities, state = self.model.step(tokens, state)
        return log_probabilities.double() + self.more, state


@dataclass
class Watched:
    """A scorer, the processor time it took, and how many tokens it held for impossible."""

    scorer: Scorer
    seconds: float = 0.0
    impossible: int = 0

    def __call__(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        started = time.process_time()
        scores = self.scorer(tokens, lengths)
        self.seconds += time.process_time() - started
        counted = torch.arange(scores.shape[1]) < (lengths - 1)[:, None]
        self.impossible += int((scores.isneginf() & counted).sum())
        return scores


def measure(ground: Ground, described: Described, trained: Trained) -> Row:
    """Measures a trained model on the test reviews; takes a minute or two."""
    reviews = measured_reviews(ground)
    watched = Watched(trained.scorer)
    measured = evaluate(watched, reviews, len(reviews), described.name)
    untied = Untied(trained.model, ground.vocabulary_size)
    predicted = measure_word_prediction(untied, ground.tokenizer, spread(reviews, NEXT_WORD_REVIEWS), "next words")
    (written,) = write_reviews(trained.model, 1, SEED)
    shown = ground.tokenizer.decode(written[:SAMPLE_TOKENS]) + (" …" if len(written) > SAMPLE_TOKENS else "")
    return Row(
        **described.model_dump(),
        parameters=trained.parameters,
        seconds=round(trained.seconds, 1),
        tokens=trained.tokens,
        **_perplexities(measured),
        impossible=watched.impossible,
        top_1=round(predicted.accuracy(1), 4),
        top_3=round(predicted.accuracy(3), 4),
        words_per_second=float(f"{measured.words / watched.seconds:.3g}"),
        sample=shown,
    )


def _perplexities(measured: Evaluation) -> dict[str, float | None]:
    if math.isinf(measured.log_probability):
        return dict.fromkeys(("perplexity_per_word", "perplexity_per_token", "bits_per_character"))
    figures = measured.as_dict()
    return {name: figures[name] for name in ("perplexity_per_word", "perplexity_per_token", "bits_per_character")}


def point(ground: Ground, name: str, words: int, scorer: Scorer) -> Point:
    """A model's place on the learning curve, trained on so many words."""
    measured = evaluate(scorer, measured_reviews(ground))
    return Point(name=name, words=words, perplexity_per_word=round(measured.perplexity, 3))


def measured_reviews(ground: Ground) -> list[Measurable]:
    return spread(list(measurable_split(ground.split("test"), ground.tokenizer, rated=False)), REVIEWS)
