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
BLOCK = 64
"""Probabilities that are added up at once before a token is drawn."""
ATTEMPTS = 3
"""Draws of a row before it is sorted; one row in twenty fails the first at default settings."""
HIGHEST_SHARE = 1.0 - 2.0**-53
"""The largest number below 1."""
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

    @property
    def is_plain(self) -> bool:
        """Whether a token is drawn from the model's own probabilities at once."""
        return self.temperature > 0.0 and self.top_k == 0 and self.repetition_penalty == 1.0


@dataclass(slots=True)
class SamplingRow:
    """One row's settings, the tokens it holds so far (for the repetition penalty), and its random number in [0, 1).

    `ahead` are the numbers of tokens that may be drawn in the same call. `top` of the model's most probable tokens are
    told with the one that is chosen.
    """

    settings: SamplingSettings
    uniform: float
    seen: Sequence[int] = field(default_factory=list)
    top: int = 0
    ahead: Sequence[float] = ()


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

    def of(self, rows: slice) -> "Chosen":
        """Those of some of the rows."""
        return Chosen(self.tokens[rows], self.log_probabilities[rows], self.top[rows])


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
        tokens.update(
            zip(drawn, _draw_until_passing(_rows(scores, drawn), [rows[place] for place in drawn]), strict=True)
        )
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


def _draw_until_passing(scores: Tensor, rows: Sequence[SamplingRow]) -> list[int]:
    """Draws a token of each row `[B, V]` that top-p and min-p let pass."""
    tokens: list[int]
    tokens, numbers, waiting = _draw(scores, *drawing(rows))
    sorted_ = draw_sorted(scores, rows, numbers, waiting)
    return [sorted_.get(place, token) for place, token in enumerate(tokens)]


def drawing(rows: Sequence[SamplingRow], steps: int = 1) -> tuple[list[float], Tensor, list[float], list[float]]:
    """What `draw` takes of rows besides their scores, with the numbers `[B, steps]` of so many tokens each."""
    return (
        [max(row.settings.temperature, LOWEST_TEMPERATURE) for row in rows],
        # TorchScript would round the numbers of a list to float32.
        torch.tensor([[row.uniform, *row.ahead[: steps - 1]] for row in rows], dtype=torch.double),
        [row.settings.top_p for row in rows],
        [row.settings.min_p for row in rows],
    )


def draw_sorted(
    scores: Tensor, rows: Sequence[SamplingRow], numbers: Sequence[float], waiting: Sequence[int]
) -> dict[int, int]:
    """The tokens of the rows that `draw` left waiting, by their places in `scores [B, V]`."""
    tokens = {}
    for place in waiting:
        (own,) = _at_temperature(scores[place : place + 1], [rows[place]])
        tokens[place] = _draw_sorted(own, rows[place].settings, numbers[place])
    return tokens


def draw(
    scores: Tensor,
    temperatures: list[float],
    numbers: Tensor,
    top_p: list[float],
    min_p: list[float],
    attempts: int = ATTEMPTS,
) -> tuple[list[int], list[float], list[int]]:
    """Draws a token of each row `[B, V]` from all until top-p and min-p let it pass; changes `numbers [B, 1]`.

    Returns the tokens, for each row the number that comes next, and the rows whose last token did not pass. It is
    written for TorchScript, in as few passes over all probabilities as there can be.
    """
    probabilities, blocks, sums, largest = blocks_of(scores, temperatures)
    limits = limits_of(largest, top_p, min_p)
    tokens = torch.zeros_like(numbers, dtype=torch.long)
    waiting = torch.arange(probabilities.size(0))
    for _ in range(attempts):
        place, rest = find(sums.index_select(0, waiting), numbers.index_select(0, waiting))
        own_block = blocks[waiting, place.squeeze(1)]
        inside, _rest = find(own_block, rest)
        tokens.index_copy_(0, waiting, place * blocks.size(2) + inside)
        passes = passing(own_block.gather(1, inside), waiting, probabilities, sums, largest, limits)
        waiting = waiting[~passes]
        if len(waiting) == 0:
            break
        # A number that follows from the row's own, whatever the neighbours need.
        numbers.index_copy_(0, waiting, scrambled(numbers.index_select(0, waiting)))
    drawn: list[int] = tokens.squeeze(1).tolist()
    following: list[float] = numbers.squeeze(1).tolist()
    left: list[int] = waiting.tolist()
    return drawn, following, left


def blocks_of(scores: Tensor, temperatures: list[float], block: int = BLOCK) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The probabilities `[B, V]` at these temperatures, the same in blocks `[B, N, block]`, their sums and maxima.

    The sums of blocks lead to the block, sums within it to the token: running sums of a whole row are slow.
    """
    probabilities = torch.softmax(scores / torch.tensor(temperatures).unsqueeze(1), dim=1)
    padding = -probabilities.size(1) % block
    padded = torch.nn.functional.pad(probabilities, [0, padding]) if padding > 0 else probabilities
    blocks = padded.view(probabilities.size(0), -1, block)
    return probabilities, blocks, blocks.sum(dim=2), blocks.amax(dim=2)


def limits_of(largest: Tensor, top_p: list[float], min_p: list[float]) -> Tensor:
    """`[B, 2]`: what more probable tokens may have together for a token to pass, and what it has to have itself."""
    return torch.stack([torch.tensor(top_p), torch.tensor(min_p) * largest.amax(dim=1)], dim=1)


def passing(
    value: Tensor, rows: Tensor, probabilities: Tensor, sums: Tensor, largest: Tensor, limits: Tensor
) -> Tensor:
    """Whether tokens of probability `value [n, 1]` in these `rows [n]` pass top-p and min-p, `[n]`."""
    limit = limits.index_select(0, rows)
    # All that stands before the token is in blocks that hold something larger: mostly this bound is enough.
    before = (largest.index_select(0, rows) > value).to(torch.float32)
    bound = (sums.index_select(0, rows) * before).sum(dim=1)
    unsure = (bound >= limit[:, 0]).nonzero().squeeze(1)
    if len(unsure) > 0:
        own = probabilities.index_select(0, rows.index_select(0, unsure))
        # Comparing into floats and adding what they multiply, as booleans take torch ten times as long.
        larger = torch.gt(own, value.index_select(0, unsure), out=torch.empty_like(own))
        bound.index_copy_(0, unsure, larger.mul_(own).sum(dim=1))
    return (bound < limit[:, 0]) & (value.squeeze(1) >= limit[:, 1])


def scrambled(numbers: Tensor) -> Tensor:
    """Another number in [0, 1) for each, as far as anybody can tell independent of it: SplitMix64 (Steele et al. 2014).

    Takes and returns doubles of 53 bits.
    """
    bits = (numbers * 9007199254740992.0).to(torch.int64) + (-7046029254386353131)
    bits = (bits ^ ((bits >> 30) & 0x3FFFFFFFF)) * (-4658895280553007687)
    bits = (bits ^ ((bits >> 27) & 0x1FFFFFFFFF)) * (-7723592293110705685)
    bits = bits ^ ((bits >> 31) & 0x1FFFFFFFF)
    return ((bits >> 11) & 0x1FFFFFFFFFFFFF).to(torch.double) / 9007199254740992.0


def find(weights: Tensor, numbers: Tensor, highest_share: float = HIGHEST_SHARE) -> tuple[Tensor, Tensor]:
    """Finds in each row of `weights [B, N]` where its share `numbers [B, 1]` in [0, 1) of their sum falls.

    Returns the places `[B, 1]` and how far into the weight there it falls, in [0, 1). Never finds a weight of 0.
    """
    # In double precision a share below 1 stays below the sum, so that a weight of 0 at the end is never met.
    cumulative = weights.double().cumsum(dim=1)
    wanted = numbers * cumulative[:, -1:]
    places = torch.searchsorted(cumulative, wanted, right=True)
    weight = weights.gather(1, places)
    return places, ((wanted - cumulative.gather(1, places) + weight) / weight).clamp_(0.0, highest_share)


# One call of torch, as each of those above would wait for the lock of a busy interpreter.
_draw = torch.jit.script(draw)


def _draw_sorted(probabilities: Tensor, settings: SamplingSettings, uniform: float) -> int:
    """Draws from what the filters leave of one row `[V]`."""
    kept, tokens = _filtered(probabilities, settings)
    place, _ = find(kept[None], torch.tensor([[uniform]], dtype=torch.double))
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
