"""Choosing the next token from its probabilities: pure functions on a batch, with settings of each row's own.

A row's choice depends on that row's probabilities, settings and uniform number alone, never on its neighbours.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

CANDIDATES = 1024
"""Tokens looked at before all of a row are sorted; the default settings rarely need more."""
LOWEST_TEMPERATURE = 1e-6
"""Below it float32 tells no more tokens apart."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How tokens are chosen; the filters work on the probabilities at the given temperature, top-k before top-p."""

    temperature: float = 0.8
    """0 takes the most probable token. Ackley, Hinton & Sejnowski 1985."""
    top_k: int = 0
    """Keep this many tokens; 0 keeps all. Fan et al. 2018."""
    top_p: float = 0.95
    """Keep the fewest most probable tokens that have this much together. Holtzman et al. 2020."""
    min_p: float = 0.0
    """Drop tokens less probable than this share of the most probable one. Nguyen et al. 2024."""
    repetition_penalty: float = 1.0
    """Multiplies the log-probability of tokens that were there before. Keskar et al. 2019."""


@dataclass(slots=True)
class SamplingRow:
    """One row's settings, the tokens it holds so far (for the repetition penalty), and its random number in [0, 1)."""

    settings: SamplingSettings
    uniform: float
    seen: Sequence[int] = field(default_factory=list)


def uniforms(seed: int, index: int) -> Iterator[float]:
    """The random numbers of review `index` of a request with this seed: a stream of its own, whatever else runs."""
    generator = random.Random(f"{seed}/{index}")
    while True:
        yield generator.random()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A token for each row, and its natural log-probability under the model."""

    tokens: list[int]
    log_probabilities: list[float]


def choose(log_probabilities: Tensor, rows: Sequence[SamplingRow]) -> Chosen:
    """Chooses a token for each row of natural log-probabilities `[B, V]`."""
    tokens = [_choose(scores, row) for scores, row in zip(log_probabilities, rows, strict=True)]
    return Chosen(tokens, log_probabilities.gather(1, torch.tensor(tokens)[:, None])[:, 0].tolist())


def _choose(scores: Tensor, row: SamplingRow) -> int:
    settings = row.settings
    if settings.repetition_penalty != 1.0 and row.seen:
        seen = torch.tensor(sorted(set(row.seen)))
        scores = scores.index_copy(0, seen, scores[seen] * settings.repetition_penalty)
    if settings.temperature == 0.0:
        return int(scores.argmax())
    # The most probable token at 0, so that the smallest temperature cannot send all of them to minus infinity.
    probabilities = torch.softmax((scores - scores.max()) / max(settings.temperature, LOWEST_TEMPERATURE), dim=0)
    kept, tokens = _filtered(probabilities, settings)
    # In double precision u < 1 stays below the sum, so that a token of probability 0 is never met.
    cumulative = kept.double().cumsum(0)
    place = int(torch.searchsorted(cumulative, row.uniform * cumulative[-1], right=True))
    return place if tokens is None else int(tokens[place])


def _filtered(probabilities: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor | None]:
    """Returns the probabilities that pass the filters and their tokens, or None where every token is kept in place."""
    if settings.top_k == 0 and settings.top_p == 1.0 and settings.min_p == 0.0:
        return probabilities, None
    wanted = min(max(CANDIDATES, settings.top_k), len(probabilities))
    kept, tokens = torch.topk(probabilities, wanted)
    count = _kept(kept, settings)
    if count == wanted < len(probabilities) and count != settings.top_k:
        kept, tokens = torch.sort(probabilities, descending=True, stable=True)
        count = _kept(kept, settings)
    return kept[:count], tokens[:count]


def _kept(ordered: Tensor, settings: SamplingSettings) -> int:
    """How many of the most probable tokens, in falling order, pass every filter; one always does."""
    if settings.top_k:
        ordered = ordered[: min(settings.top_k, len(ordered))]
    passing = ordered >= settings.min_p * ordered[0]
    if settings.top_p < 1.0:
        # top-p is a share of what top-k has left, as in other samplers.
        total = ordered.sum() if settings.top_k else torch.ones(())
        before = ordered.cumsum(0) - ordered
        passing &= before < settings.top_p * total
    return max(1, int(passing.sum()))
