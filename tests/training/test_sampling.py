from collections import Counter

import pytest
import torch
from tokenizers import Tokenizer

from app.schemas import GenerateRequest
from tests.training.toys import END_MARK, Chain
from training import sampling
from training.sampling import MAX_TOKENS, TEMPERATURE, TOP_P, sample, write_reviews


def test_the_settings_are_the_defaults_of_the_service() -> None:
    defaults = GenerateRequest()
    assert (defaults.temperature, defaults.top_p, defaults.max_tokens) == (TEMPERATURE, TOP_P, MAX_TOKENS)
    assert (defaults.top_k, defaults.min_p, defaults.repetition_penalty, defaults.stars) == (0, 0.0, 1.0, None)
    assert defaults.prompt == ""


def test_tokens_come_as_often_as_top_p_and_temperature_say() -> None:
    at_temperature = torch.tensor([0.02, 0.5, 0.01, 0.3, 0.17])  # 0.5, 0.3 and 0.17 have 0.97 together
    log_probabilities = torch.log_softmax(at_temperature.log() * TEMPERATURE, dim=0)
    rows = 40_000
    drawn = sample(log_probabilities.expand(rows, -1), torch.Generator().manual_seed(1))
    shares = torch.bincount(drawn, minlength=5) / rows
    expected = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.17]) / 0.97
    assert shares[[0, 2]].tolist() == [0.0, 0.0]
    torch.testing.assert_close(shares, expected, atol=4 * 0.5 / rows**0.5, rtol=0)


def test_each_row_is_drawn_from_its_own_distribution() -> None:
    certain = torch.full((30, 50), -torch.inf)
    chosen = torch.randperm(50)[:30]
    certain[torch.arange(30), chosen] = 0.0
    assert torch.equal(sample(certain, torch.Generator().manual_seed(1)), chosen)


def test_a_token_that_exceeds_top_p_alone_is_certain() -> None:
    log_probabilities = torch.tensor([[0.04, 0.96]]).log() * TEMPERATURE
    drawn = sample(log_probabilities.expand(2000, -1), torch.Generator().manual_seed(1))
    assert drawn.tolist() == [1] * 2000


@pytest.fixture(scope="module")
def coin(tokenizer: Tokenizer) -> Chain:
    """Writes "!" until a coin ends the review: a third of them longer than one mark, at temperature 0.8."""
    return Chain(tokenizer, {"!": 1 / 3, END_MARK: 2 / 3}, {"!": 1.0})


def test_reviews_end_where_the_model_ends_them(tokenizer: Tokenizer, coin: Chain) -> None:
    reviews = write_reviews(coin, 3000, seed=1)
    (mark,) = tokenizer.encode("!").ids
    assert {token for review in reviews for token in review} == {mark}
    lengths = Counter(map(len, reviews))
    going_on = (1 / 3) ** 1.25 / ((1 / 3) ** 1.25 + (2 / 3) ** 1.25)
    assert lengths[0] == 0
    for length in (1, 2, 3):
        share = going_on ** (length - 1) * (1 - going_on)
        assert lengths[length] / 3000 == pytest.approx(share, abs=4 * (share / 3000) ** 0.5)


def test_the_seed_decides_the_reviews(coin: Chain) -> None:
    assert write_reviews(coin, 100, seed=1) == write_reviews(coin, 100, seed=1) != write_reviews(coin, 100, seed=2)


def test_a_review_without_end_is_cut(tokenizer: Tokenizer) -> None:
    endless = Chain(tokenizer, {"!": 1.0}, {"!": 1.0})
    count = sampling.LANES + 3
    assert [len(review) for review in write_reviews(endless, count, seed=1)] == [MAX_TOKENS] * count
