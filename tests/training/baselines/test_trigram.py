import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training.baselines.trigram import (
    START,
    AddK,
    Counts,
    Interpolated,
    Trigram,
    bucket_of,
    count_trigrams,
    fit_weights,
    trigram_scorer,
)
from training.vocabulary import END

A, B, C = 7, 8, 9
VOCABULARY = 10
PREDICTED = 4  # the end mark, a, b and c


def in_a_row(*reviews: list[int], opening: int = START) -> NDArray[np.int64]:
    return np.array([token for review in reviews for token in (opening, *review, END)])


@pytest.fixture(scope="module")
def counts() -> list[Counts]:
    return count_trigrams(in_a_row([A, B], [A, B], [A, C], [B, A, B, C]), VOCABULARY)


def q(model: Trigram, *tokens: int) -> float:
    """The probability of the last of some tokens after the others."""
    return float(np.exp(model.log_probabilities(np.array(tokens))[-1]))


def test_maximum_likelihood_is_a_share_of_counts(counts: list[Counts]) -> None:
    model = Trigram(counts)
    assert q(model, START, A) == pytest.approx(3 / 4)  # of four reviews three begin with a
    assert q(model, START, A, B) == pytest.approx(2 / 3)
    assert q(model, START, A, B, END) == pytest.approx(2 / 3)  # c(a, b) is 3, one of them goes on with c
    assert q(model, START, B, A, B) == 1
    assert q(model, START, B, A, C) == 0  # never seen
    assert q(model, START, C, C, A) == 0  # neither was its context


def test_what_was_never_seen_has_an_infinite_perplexity(counts: list[Counts]) -> None:
    scores = Trigram(counts).log_probabilities(in_a_row([A, B, A]))
    assert np.isneginf(scores).tolist() == [False, False, True, True]
    assert np.exp(-scores.mean()) == np.inf


def test_add_k_moves_what_was_never_seen_above_zero(counts: list[Counts]) -> None:
    model = AddK(counts, k=0.5)
    assert q(model, START, A, B) == pytest.approx((2 + 0.5) / (3 + 0.5 * PREDICTED))
    assert q(model, START, B, A, C) == pytest.approx(0.5 / (1 + 0.5 * PREDICTED))
    assert q(model, START, C, C, A) == pytest.approx(1 / PREDICTED)


def test_interpolation_weighs_all_orders(counts: list[Counts]) -> None:
    model = Interpolated(counts, np.array([[0.1, 0.2, 0.3, 0.4]]))
    # Of 14 tokens a, b and c make up 4, 4 and 2; of 4 times a, b follows 3 times.
    assert q(model, START, A, B) == pytest.approx(0.1 / PREDICTED + 0.2 * 4 / 14 + 0.3 * 3 / 4 + 0.4 * 2 / 3)
    assert q(model, START, B, A, C) == pytest.approx(0.1 / PREDICTED + 0.2 * 2 / 14 + 0.3 * 1 / 4)
    # (c, c) was never seen, so that what follows c alone, an end mark both times, counts in its place.
    assert q(model, START, C, C, END) == pytest.approx(0.1 / PREDICTED + 0.2 * 4 / 14 + (0.3 + 0.4) * 2 / 2)


def test_the_weights_of_a_bucket_are_those_of_its_contexts(counts: list[Counts]) -> None:
    model = Interpolated(counts, np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]))
    assert q(model, START, C, C, A) == pytest.approx(1 / PREDICTED)  # never seen
    assert q(model, START, B, A, C) == pytest.approx(2 / 14)  # (b, a) seen once
    assert q(model, START, A, B) == pytest.approx(2 / 3)  # (start, a) three times


def test_buckets_are_powers_of_two() -> None:
    assert bucket_of(np.array([0, 1, 2, 3, 4, 7, 8, 1000]), 5).tolist() == [0, 1, 2, 2, 3, 3, 4, 4]
    assert bucket_of(np.array([0, 5, 1000]), 1).tolist() == [0, 0, 0]


def test_a_step_of_expectation_maximisation_by_hand(monkeypatch: pytest.MonkeyPatch, counts: list[Counts]) -> None:
    monkeypatch.setattr("training.baselines.trigram.ITERATIONS", 1)
    # Held out is a review of c alone, which began none: its terms are 1/4, 2/14, 0, 0. For the end mark they are 1/4,
    # 4/14 and 2/2, and as (start, c) was never seen, 2/2 again.
    first, second = np.array([1 / 4, 2 / 14, 0, 0]), np.array([1 / 4, 4 / 14, 1, 1])
    expected = (first / first.sum() + second / second.sum()) / 2
    np.testing.assert_allclose(fit_weights(counts, in_a_row([C]), buckets=1), [expected])


@pytest.mark.parametrize("buckets", [1, 4])
def test_fitted_weights_are_better_than_any_near_them(buckets: int, counts: list[Counts]) -> None:
    held_out = in_a_row([A, B, C], [B], [C, A, B])
    weights = fit_weights(counts, held_out, buckets)
    np.testing.assert_allclose(weights.sum(axis=1), 1)

    def likelihood(weights: NDArray[np.float64]) -> float:
        scores = Interpolated(counts, weights).log_probabilities(held_out)
        return float(scores[scores > -np.inf].sum())

    random = np.random.default_rng(1)
    for _ in range(20):
        other = weights * random.uniform(0.7, 1.4, weights.shape) + 0.01
        assert likelihood(other / other.sum(axis=1, keepdims=True)) < likelihood(weights)


@pytest.mark.parametrize("way", ["maximum likelihood", "add-k", "interpolated"])
def test_steps_agree_with_scores_and_sum_to_one(way: str, counts: list[Counts]) -> None:
    weights = np.array([[0.5, 0.5, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    model = {
        "maximum likelihood": Trigram(counts),
        "add-k": AddK(counts, 0.1),
        "interpolated": Interpolated(counts, weights),
    }[way]
    tokens = torch.from_numpy(np.stack([in_a_row([A, B], [A, C, B]), in_a_row([B, A, B, C], [A], opening=4)]))
    scores = trigram_scorer(model)(tokens, torch.tensor([9, 9]))
    state = model.initial_state(2)
    for t in range(tokens.shape[1] - 1):
        following, state = model.step(tokens[:, t], state)
        assert (following.shape, following.dtype) == ((2, VOCABULARY), torch.float32)
        own = following.gather(1, tokens[:, t + 1 : t + 2])[:, 0]
        np.testing.assert_allclose(own, scores[:, t], rtol=1e-5)
        total = following.exp().sum(dim=1)
        says_nothing = following.isneginf().all(dim=1)  # maximum likelihood, where it never saw the context
        np.testing.assert_allclose(total[~says_nothing], 1, rtol=1e-5)
        assert way == "maximum likelihood" or not says_nothing.any()
