"""The lecture's models by counts: trigrams, and Kneser–Ney of two orders."""

import time
from collections.abc import Callable

from training.baselines.kneser_ney import KneserNey, kneser_ney_scorer, token_stream
from training.baselines.trigram import (
    AddK,
    Counts,
    Interpolated,
    Trigram,
    count_trigrams,
    fit_weights,
    trigram_scorer,
)
from training.corpus import Split
from training.evaluate import evaluate, measurable_split
from training.lecture.part import Described, Ground, Trained
from training.lecture.recipe import Recipe, Train

KS = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""Of which add-k takes what is best on the validation reviews."""
BUCKETS = 12
LINEAR = "q(w | u, v) = λ₃ c(u, v, w) / c(u, v) + λ₂ c(v, w) / c(v) + λ₁ c(w) / c() + λ₀ / V"


def likelihood(counts: list[Counts], ground: Ground) -> Trigram:
    return Trigram(counts)


def add_k(counts: list[Counts], ground: Ground) -> Trigram:
    def perplexity(model: Trigram) -> float:
        return evaluate(trigram_scorer(model), measurable_split(ground.split("valid"), ground.tokenizer)).perplexity

    return min((AddK(counts, k) for k in KS), key=perplexity)


def interpolated(counts: list[Counts], ground: Ground) -> Trigram:
    return Interpolated(counts, fit_weights(counts, token_stream(ground.split("valid")), 1))


def bucketed(counts: list[Counts], ground: Ground) -> Trigram:
    return Interpolated(counts, fit_weights(counts, token_stream(ground.split("valid")), BUCKETS))


def _trigram(make: Callable[[list[Counts], Ground], Trigram]) -> Train:
    def train(ground: Ground, split: Split, seconds: float) -> Trained:
        started, stream = time.process_time(), token_stream(split)
        model = make(count_trigrams(stream, ground.vocabulary_size), ground)
        spent = time.process_time() - started
        return Trained(model, trigram_scorer(model), model.parameters, spent, len(stream))

    return train


def _kneser_ney(order: int) -> Train:
    def train(ground: Ground, split: Split, seconds: float) -> Trained:
        started, stream = time.process_time(), token_stream(split)
        model = KneserNey.estimate(stream, order, ground.vocabulary_size)
        spent = time.process_time() - started
        return Trained(model, kneser_ney_scorer(model), model.parameters, spent, len(stream))

    return train


def _trigram_recipe(
    name: str, formula: str, source: str, make: Callable[[list[Counts], Ground], Trigram], curve: bool, note: str
) -> Recipe:
    module = "training/baselines/trigram.py"
    return Recipe(Described(name=name, formula=formula, source=source, module=module, note=note), _trigram(make), curve)


def _kneser_ney_recipe(order: int) -> Recipe:
    described = Described(
        name=f"Kneser–Ney, order {order}",
        formula="p(w | c) = (a(c w) - D(c w)) / Σ_v a(c v) + γ(c) p(w | c')",
        source="Kneser & Ney 1995; modified and interpolated: Chen & Goodman 1999",
        module="training/baselines/kneser_ney.py",
        note="c' is the context c without its first token; a counts what occurs at the highest order, and below it the "
        "distinct tokens that come before; D is a discount, γ makes all sum to 1.",
    )
    return Recipe(described, _kneser_ney(order), curve=True)


LIKELIHOOD = _trigram_recipe(
    "Trigram, maximum likelihood",
    "q(w | u, v) = c(u, v, w) / c(u, v)",
    "Shannon 1948",
    likelihood,
    curve=False,
    note="What it never saw is impossible, so that the perplexity of new text is infinite.",
)
ADD_K = _trigram_recipe(
    "Trigram, add-k",
    "q(w | u, v) = (c(u, v, w) + k) / (c(u, v) + k V)",
    "Lidstone 1920",
    add_k,
    curve=True,
    note=f"k is the best of {', '.join(f'{k:g}' for k in KS)} on the validation reviews.",
)
INTERPOLATED = _trigram_recipe(
    "Trigram, interpolated",
    LINEAR,
    "Jelinek & Mercer 1980",
    interpolated,
    curve=True,
    note="The λ are fitted to the validation reviews by expectation maximisation.",
)
BUCKETED = _trigram_recipe(
    "Trigram, interpolated by count",
    LINEAR,
    "Jelinek & Mercer 1980",
    bucketed,
    curve=False,
    note=f"As the last, with λ of their own for contexts seen about as often, in {BUCKETS} buckets.",
)
KNESER_NEY = {order: _kneser_ney_recipe(order) for order in (3, 5)}
