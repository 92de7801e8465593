"""Choosing the next token from its probabilities: pure functions on a batch, with settings of each row's own.

A row's choice depends on that row's probabilities, settings and uniform number alone, never on its neighbours.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

BLOCK = 64
"""Probabilities that are added up at once where a token is drawn."""
ATTEMPTS = 3
"""Of drawing a token that passes the filters without sorting; at the default settings one in twenty does not."""
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
    """Keep the fewest most probable tokens that have this much together, and their equals. Holtzman et al. 2020."""
    min_p: float = 0.0
    """Drop tokens less probable than this share of the most probable one. Nguyen et al. 2024."""
    repetition_penalty: float = 1.0
    """Multiplies the log-probability of tokens that were there before. Keskar et al. 2019."""


@dataclass(slots=True)
class SamplingRow:
    """One row's settings, the tokens it holds so far (for the repetition penalty), and its random number in [0, 1).

    `top` of the model's most probable tokens are told with the one that is chosen.
    """

    settings: SamplingSettings
    uniform: float
    seen: Sequence[int] = field(default_factory=list)
    top: int = 0


def uniforms(seed: int, index: int) -> Iterator[float]:
    """The random numbers of review `index` of a request with this seed: a stream of its own, whatever else runs."""
    generator = random.Random(f"{seed}/{index}")
    while True:
        yield generator.random()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A token for each row, and its natural log-probability under the model.

    Where any row asks for them, `top` has for each as many of the most probable tokens as it asked for, the best first.
    """

    tokens: list[int]
    log_probabilities: list[float]
    top: list[list[tuple[int, float]]] = field(default_factory=list)


def choose(log_probabilities: Tensor, rows: Sequence[SamplingRow]) -> Chosen:
    """Chooses a token for each row of natural log-probabilities `[B, V]`.

    A token that is drawn from all and happens to pass the filters has the distribution that the filters leave. So all
    rows are drawn at once, unsorted; those whose token does not pass are drawn again, and sorted if that goes on.
    """
    scores = _penalised(log_probabilities, rows)
    tokens: dict[int, int] = {}
    greedy, ranked, drawn = _by_method(rows)
    if greedy:
        tokens.update(zip(greedy, _rows(scores, greedy).argmax(dim=1).tolist(), strict=True))
    if drawn:
        probabilities = _at_temperature(_rows(scores, drawn), [rows[place] for place in drawn])
        tokens.update(zip(drawn, _draw_until_passing(probabilities, [rows[place] for place in drawn]), strict=True))
    for place in ranked:
        (own,) = _at_temperature(scores[place : place + 1], [rows[place]])
        tokens[place] = _draw_sorted(own, rows[place].settings, rows[place].uniform)
    chosen = [tokens[place] for place in range(len(rows))]
    values = log_probabilities.gather(1, torch.tensor(chosen)[:, None])[:, 0].tolist()
    return Chosen(chosen, values, _tops(log_probabilities, rows))


def _tops(log_probabilities: Tensor, rows: Sequence[SamplingRow]) -> list[list[tuple[int, float]]]:
    """What `Chosen` tells besides; rows that ask for nothing cost nothing."""
    asking = [place for place, row in enumerate(rows) if row.top]
    if not asking:
        return []
    tops: list[list[tuple[int, float]]] = [[] for _ in rows]
    found = most_probable(_rows(log_probabilities, asking), max(row.top for row in rows))
    for place, best in zip(asking, found, strict=True):
        tops[place] = best[: rows[place].top]
    return tops


def most_probable(log_probabilities: Tensor, count: int) -> list[list[tuple[int, float]]]:
    """The `count` most probable tokens of each row `[B, V]` and their values, in falling order."""
    values, tokens = log_probabilities.topk(count, dim=1)
    return [list(zip(*row, strict=True)) for row in zip(tokens.tolist(), values.tolist(), strict=True)]


def _by_method(rows: Sequence[SamplingRow]) -> tuple[list[int], list[int], list[int]]:
    """The places of the rows that take the most probable token, that are sorted at once, and that are drawn first."""
    greedy, ranked, drawn = list[int](), list[int](), list[int]()
    for place, row in enumerate(rows):
        if row.settings.temperature == 0.0:
            greedy.append(place)
        else:  # the few tokens that top-k keeps are found sooner than met by chance
            (ranked if row.settings.top_k else drawn).append(place)
    return greedy, ranked, drawn


def _rows(scores: Tensor, places: list[int]) -> Tensor:
    return scores if len(places) == len(scores) else scores[places]


def _penalised(log_probabilities: Tensor, rows: Sequence[SamplingRow]) -> Tensor:
    scores = log_probabilities
    for place, row in enumerate(rows):
        if row.settings.repetition_penalty != 1.0 and row.seen:
            if scores is log_probabilities:
                scores = log_probabilities.clone()
            seen = torch.tensor(sorted(set(row.seen)))
            scores[place].index_copy_(0, seen, scores[place][seen] * row.settings.repetition_penalty)
    return scores


def _at_temperature(scores: Tensor, rows: Sequence[SamplingRow]) -> Tensor:
    temperatures = torch.tensor([[max(row.settings.temperature, LOWEST_TEMPERATURE)] for row in rows])
    return torch.softmax(scores / temperatures, dim=1)


def _draw_until_passing(probabilities: Tensor, rows: Sequence[SamplingRow]) -> list[int]:
    """Draws a token of each row `[B, V]` that top-p and min-p let pass."""
    tokens = [0] * len(rows)
    numbers = [row.uniform for row in rows]
    waiting = list(range(len(rows)))
    for _ in range(ATTEMPTS):
        settings = [rows[place].settings for place in waiting]
        found, passes = _draw(_rows(probabilities, waiting), settings, [numbers[place] for place in waiting])
        for place, token in zip(waiting, found, strict=True):
            tokens[place] = token
        waiting = [place for place, passing in zip(waiting, passes, strict=True) if not passing]
        if not waiting:
            break
        for place in waiting:  # a number that follows from the row's own, whatever the neighbours need
            numbers[place] = random.Random(numbers[place]).random()
    for place in waiting:
        tokens[place] = _draw_sorted(probabilities[place], rows[place].settings, numbers[place])
    return tokens


def _draw(
    probabilities: Tensor, settings: Sequence[SamplingSettings], uniform: Sequence[float]
) -> tuple[list[int], list[bool]]:
    """Draws a token of each row `[B, V]` from all, and tells whether top-p and min-p let it pass."""
    numbers = torch.tensor(uniform, dtype=torch.double)[:, None]
    # The sums of blocks lead to the block, sums within it to the token: running sums of a whole row are slow.
    padding = -probabilities.shape[1] % BLOCK
    padded = torch.nn.functional.pad(probabilities, (0, padding)) if padding else probabilities
    blocks = padded.view(len(probabilities), -1, BLOCK)
    block, rest = _find(blocks.sum(dim=2), numbers)
    place, _ = _find(blocks.gather(1, block[:, :, None].expand(-1, 1, BLOCK))[:, 0], rest)
    tokens = block * BLOCK + place
    own = probabilities.gather(1, tokens)
    limits = torch.tensor([[each.top_p, each.min_p] for each in settings])
    # Comparing into floats and adding what they multiply, as booleans take torch ten times as long.
    before = torch.gt(probabilities, own, out=torch.empty_like(probabilities)).mul_(probabilities).sum(dim=1)
    passes = (before < limits[:, 0]) & (own[:, 0] >= limits[:, 1] * probabilities.amax(dim=1))
    return tokens[:, 0].tolist(), passes.tolist()


def _find(weights: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Finds in each row of `weights [B, N]` where its share `numbers [B, 1]` in [0, 1) of their sum falls.

    Returns the places `[B, 1]` and how far into the weight there it falls, in [0, 1). Never finds a weight of 0.
    """
    # In double precision a share below 1 stays below the sum, so that a weight of 0 at the end is never met.
    cumulative = weights.double().cumsum(dim=1)
    wanted = numbers * cumulative[:, -1:]
    places = torch.searchsorted(cumulative, wanted, right=True)
    weight = weights.gather(1, places)
    return places, ((wanted - cumulative.gather(1, places) + weight) / weight).clamp_(0.0, 1 - 2**-53)


def _draw_sorted(probabilities: Tensor, settings: SamplingSettings, uniform: float) -> int:
    """Draws from what the filters leave of one row `[V]`."""
    kept, tokens = _filtered(probabilities, settings)
    place, _ = _find(kept[None], torch.tensor([[uniform]], dtype=torch.double))
    return int(tokens[place])


def _filtered(probabilities: Tensor, settings: SamplingSettings) -> tuple[Tensor, Tensor]:
    """Returns the probabilities that pass the filters, in falling order, and their tokens."""
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
    count = max(1, int(passing.sum()))
    # Of equally probable tokens top-p and min-p keep all or none, as when a token is drawn and judged by itself.
    return count if settings.top_k else int((ordered >= ordered[count - 1]).sum())
