from itertools import islice

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from app.sampling import SamplingRow, SamplingSettings, choose, uniforms

ALL = SamplingSettings(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
SWEEP = [(place + 0.5) / 600 for place in range(600)]
HIGHEST = 1 - 2**-53
"""The largest random number there is."""


def _log_probabilities(weights: list[int]) -> Tensor:
    return torch.log_softmax(torch.tensor(weights, dtype=torch.double).log(), dim=0).float()


def _choices(
    scores: Tensor, sampling: SamplingSettings, uniform: list[float], seen: list[int] | None = None
) -> list[int]:
    return choose(scores.expand(len(uniform), -1), [SamplingRow(sampling, each, seen or []) for each in uniform]).tokens


def _kept(probabilities: list[float], sampling: SamplingSettings) -> list[float]:
    """The definitions in plain Python: the probabilities that the filters keep, the most probable first."""
    ordered = sorted(probabilities, reverse=True)
    if sampling.top_k:
        ordered = ordered[: sampling.top_k]
    total, before, kept = sum(ordered), 0.0, list[float]()
    for probability in ordered:
        if kept and (probability < sampling.min_p * ordered[0] or before > sampling.top_p * total):
            break
        kept.append(probability)
        before += probability
    # Equally probable ones are all in or all out, but that top-k has no more than k.
    return kept if sampling.top_k else [probability for probability in ordered if probability >= kept[-1]]


def _at_temperature(weights: list[int], temperature: float) -> list[float]:
    powers = [weight ** (1 / temperature) for weight in weights]
    return [power / sum(powers) for power in powers]


@settings(max_examples=30, deadline=None)
@given(
    weights=st.lists(st.integers(1, 6), min_size=1, max_size=20),
    temperature=st.sampled_from([0.9, 1.0, 1.5]),
    top_k=st.integers(0, 25),
    top_p=st.floats(0.01, 1.0),
    min_p=st.floats(0.0, 1.0),
)
def test_filters_keep_what_their_definitions_say(
    weights: list[int], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    sampling = SamplingSettings(temperature, top_k, top_p, min_p)
    probabilities = _at_temperature(weights, temperature)
    expected = _kept(probabilities, sampling)
    for nudge in (-1e-5, 1e-5):  # on the border float32 may see it otherwise
        assume(_kept(probabilities, SamplingSettings(temperature, top_k, top_p + nudge, min_p + nudge)) == expected)
        assume(_kept(probabilities, SamplingSettings(temperature, top_k, top_p + nudge, min_p - nudge)) == expected)
    chosen = set(_choices(_log_probabilities(weights), sampling, SWEEP))
    assert sorted((probabilities[token] for token in chosen), reverse=True) == expected


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSettings(1.0, top_p=0.95),
        SamplingSettings(1.0, top_p=0.99),
        SamplingSettings(1.0, top_k=1800, top_p=0.9),
        SamplingSettings(1.0, top_k=1024, top_p=1.0),
        SamplingSettings(1.0, top_k=1500, top_p=1.0, min_p=0.6),
        SamplingSettings(1.0, top_p=1.0, min_p=0.6),
        SamplingSettings(1.0, top_k=10**30, top_p=0.5),
    ],
)
def test_filters_that_keep_more_than_the_first_candidates(sampling: SamplingSettings) -> None:
    size, count = 2000, 4000
    weights = torch.randperm(size, generator=torch.Generator().manual_seed(3)).add(size).tolist()
    total = sum(weights)
    expected = len(_kept([weight / total for weight in weights], sampling))
    assert expected < size
    chosen = set(_choices(_log_probabilities(weights), sampling, [(place + 0.5) / count for place in range(count)]))
    least = min(weights[token] for token in chosen)
    assert 2 * size - least == pytest.approx(expected, abs=3)  # a sum of thousands in float32


@given(weights=st.lists(st.integers(1, 1000), min_size=1, max_size=50, unique=True), uniform=st.floats(0, HIGHEST))
def test_temperature_zero_and_the_smallest_take_the_most_probable(weights: list[int], uniform: float) -> None:
    best = weights.index(max(weights))
    for temperature in (0.0, 5e-324, 1e-40, 1e-9):
        greedy = SamplingSettings(temperature, top_k=0, top_p=1.0)
        assert _choices(_log_probabilities(weights), greedy, [uniform]) == [best]


def test_temperature_zero_takes_the_first_of_equals() -> None:
    assert _choices(_log_probabilities([1, 3, 3, 2]), SamplingSettings(0.0), [HIGHEST]) == [1]


@settings(max_examples=30, deadline=None)
@given(weights=st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_frequencies_are_the_probabilities(weights: list[int]) -> None:
    count = 500
    chosen = _choices(_log_probabilities(weights), ALL, [(place + 0.5) / count for place in range(count)])
    for token, weight in enumerate(weights):
        assert chosen.count(token) / count == pytest.approx(weight / sum(weights), abs=2 / count)


def test_frequencies_are_shared_out_among_what_is_kept() -> None:
    chosen = _choices(_log_probabilities([5, 3, 2, 10]), SamplingSettings(1.0, top_k=2, top_p=1.0), SWEEP)
    assert chosen.count(3) == 400
    assert chosen.count(0) == 200


def test_what_top_p_drops_is_shared_out_among_what_it_keeps() -> None:
    count = 10_000
    scores = _log_probabilities([1, 3, 2, 10, 4])
    chosen = _choices(scores, SamplingSettings(1.0, top_p=0.75), list(islice(uniforms(5, 0), count)))
    for token, share in enumerate([0, 3 / 17, 0, 10 / 17, 4 / 17]):
        assert chosen.count(token) / count == pytest.approx(share, abs=3 * (share * (1 - share) / count) ** 0.5)


@pytest.mark.parametrize("sampling", [ALL, SamplingSettings(1.0, top_p=0.999999), SamplingSettings(1.0, top_k=3)])
@pytest.mark.parametrize("uniform", [0.0, HIGHEST])
def test_a_token_of_probability_zero_is_never_chosen(sampling: SamplingSettings, uniform: float) -> None:
    scores = torch.tensor([-torch.inf, -0.7, -torch.inf, -0.7, -torch.inf])
    assert _choices(scores, sampling, [uniform]) == [1 if uniform == 0.0 else 3]


def test_the_repetition_penalty_multiplies_the_log_probability_of_what_was_seen() -> None:
    scores = torch.tensor([0.5, 0.3, 0.2]).log()
    greedy = SamplingSettings(0.0, repetition_penalty=2.0)
    assert _choices(scores, greedy, [0.5], seen=[]) == [0]
    assert _choices(scores, greedy, [0.5], seen=[0]) == [1]  # 0.5² < 0.3
    assert _choices(scores, greedy, [0.5], seen=[0, 1, 1]) == [0]  # 0.5² > 0.2, and a second time changes nothing
    penalised = SamplingSettings(1.0, top_p=1.0, repetition_penalty=2.0)
    share = 0.25 / (0.25 + 0.3 + 0.2)
    assert _choices(scores, penalised, SWEEP, seen=[0]).count(0) / 600 == pytest.approx(share, abs=1 / 300)
    assert torch.equal(scores, torch.tensor([0.5, 0.3, 0.2]).log())  # what the caller holds is left as it was


def test_a_penalty_below_one_never_brings_in_what_cannot_be() -> None:
    scores = torch.tensor([-torch.inf, -0.1, -2.4])
    assert _choices(scores, SamplingSettings(0.0, repetition_penalty=0.1), [0.5], seen=[0, 2]) == [1]


def test_a_rows_choice_does_not_depend_on_its_neighbours() -> None:
    seed = 11
    generator = torch.Generator().manual_seed(seed)
    scores = torch.log_softmax(4 * torch.randn(32, 500, generator=generator), dim=1)
    rows = [
        SamplingRow(
            SamplingSettings(0.5 + place / 20, place % 7, 0.5 + place / 70, 0.0, 1.0 + place / 9), uniform, [place]
        )
        for place, uniform in enumerate(islice(uniforms(seed, 0), 32))
    ]
    together = choose(scores, rows).tokens
    assert together == [choose(scores[place : place + 1], [row]).tokens[0] for place, row in enumerate(rows)]
    assert len(set(together)) > 10


def test_each_row_is_told_as_many_of_the_most_probable_tokens_as_it_asks_for() -> None:
    scores = torch.log_softmax(torch.randn(4, 90, generator=torch.Generator().manual_seed(3)), dim=1)
    rows = [SamplingRow(SamplingSettings(2.0), 0.5, top=top) for top in (0, 3, 1, 0)]
    expected = [
        [(token, float(own[token])) for token in own.sort(descending=True)[1].tolist()[: row.top]]
        for own, row in zip(scores, rows, strict=True)
    ]
    assert choose(scores, rows).top == expected
    assert choose(scores[:1], rows[:1]).top == []
    plain = [SamplingRow(row.settings, row.uniform) for row in rows]
    assert choose(scores, rows).tokens == choose(scores, plain).tokens


def test_random_numbers_are_a_stream_of_each_review() -> None:
    streams = [list(islice(uniforms(seed, index), 50)) for seed in (1, 2, 11) for index in (0, 1, 11)]
    assert len({number for stream in streams for number in stream}) == 9 * 50
    assert all(0 <= number < 1 for stream in streams for number in stream)
    assert streams[0] == list(islice(uniforms(1, 0), 50))
