import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.evaluate import Evaluation, Measurable, measurable_reviews
from training.ratings import STARS, RatingScores, rating_prior, score_ratings
from training.reviews import Review
from training.vocabulary import OPENINGS, UNKNOWN_RATING


class Mood:
    """Every token of a review has one probability, which its opening decides; the state is that probability."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.probabilities = torch.tensor([2.0**-stars for stars in (6, 5, 4, 3, 2, 1)])

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 1)

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        opening = tokens < len(OPENINGS)
        after = torch.where(opening[:, None], self.probabilities[tokens * opening][:, None], state)
        return after.log().expand(-1, self.vocabulary), after


def measurable(tokenizer: Tokenizer, stars: int | None, text: str = "I don't know.") -> Measurable:
    (review,) = measurable_reviews([Review(text, stars)], tokenizer)
    return review


def test_a_review_is_scored_under_every_opening(tokenizer: Tokenizer) -> None:
    reviews = [measurable(tokenizer, 2, "It was the soup, the soup, the soup!"), measurable(tokenizer, None)]
    scores = score_ratings(Mood(tokenizer.get_vocab_size()), reviews)
    assert scores.stars.tolist() == [0, 2]  # the shorter one first
    predicted = np.array([len(review.tokens) - 1 for review in reversed(reviews)])  # each token and the end mark
    bits = -scores.log_probabilities / math.log(2)
    np.testing.assert_allclose(bits, predicted[:, None] * [6, 5, 4, 3, 2, 1], rtol=1e-6)


def test_told_ratings_count_and_hidden_ones_do_not(tokenizer: Tokenizer) -> None:
    reviews = [measurable(tokenizer, 1), measurable(tokenizer, 5), measurable(tokenizer, None)]
    scores = score_ratings(Mood(tokenizer.get_vocab_size()), reviews)
    tokens, characters = len(reviews[0].tokens) - 1, reviews[0].characters
    assert scores.evaluation(told=True).bits_per_character == pytest.approx(tokens * (5 + 1 + 6) / (3 * characters))
    assert scores.evaluation(told=False).bits_per_character == pytest.approx(tokens * 6 / characters)
    assert scores.evaluation(told=True, stars=5).bits_per_character == pytest.approx(tokens / characters)
    assert scores.evaluation(told=False, stars=5).reviews == 1


def test_totals_are_those_of_the_reviews(tokenizer: Tokenizer) -> None:
    reviews = [measurable(tokenizer, 3), measurable(tokenizer, 3, "Cold soup!\nNever again."), measurable(tokenizer, 4)]
    totals = score_ratings(Mood(tokenizer.get_vocab_size()), reviews).evaluation(told=True, stars=3)
    assert totals == Evaluation(2, 4 + 6, totals.tokens, 13 + 23, totals.log_probability)
    assert totals.tokens == len(reviews[0].tokens) + len(reviews[1].tokens) - 4
    assert totals.log_probability == pytest.approx(-3 * math.log(2) * (totals.tokens + 2))


@pytest.fixture
def scored(tokenizer: Tokenizer) -> RatingScores:
    """Four reviews of 1, 1, 2 and 5 stars and one unrated, under openings that are easy to tell apart."""
    rows = [
        [-9, -5, -6, -9, -9, -9],
        [-9, -6, -5, -9, -9, -9],  # looks like 2 stars, but the odds are only e to 1
        [-9, -7, -5, -9, -9, -9],  # and here e² to 1
        [-9, -9, -9, -9, -5, -9],  # looks like 4 stars
        [-9, -5, -9, -9, -9, -9],
    ]
    reviews = [measurable(tokenizer, stars) for stars in (1, 1, 2, 5, None)]
    return RatingScores(reviews, np.array(rows, dtype=np.float64))


def test_the_likeliest_rating_is_compared_with_the_true_one(scored: RatingScores) -> None:
    assert scored.recognised(np.full(5, 0.2)) == 2 / 4
    assert scored.recognised(np.array([0.6, 0.05, 0.1, 0.1, 0.15])) == 2 / 4  # 12 to 1: now the third is wrong instead
    assert scored.recognised(np.array([0.5, 0.1, 0.1, 0.1, 0.2])) == 3 / 4  # 5 to 1: both are right


def test_figures_are_told_by_rating(scored: RatingScores) -> None:
    figures = scored.as_dict(np.array([0.5, 0.1, 0.1, 0.1, 0.2]))
    assert figures["told"] == scored.evaluation(told=True).as_dict()
    assert figures["hidden"] == scored.evaluation(told=False).as_dict()
    assert {stars: each["told"]["reviews"] for stars, each in figures["by_stars"].items()} == {"1": 2, "2": 1, "5": 1}
    assert figures["recognised"] == {
        "rated_reviews": 4,
        "every_rating_alike": 0.5,
        "ratings_as_in_training": 0.75,
        "always_the_most_frequent": 0.5,
    }


def test_reviews_without_ratings_have_none_to_recognise(tokenizer: Tokenizer) -> None:
    scores = score_ratings(Mood(tokenizer.get_vocab_size()), [measurable(tokenizer, None)])
    assert scores.as_dict(np.full(5, 0.2)).keys() == {"told", "hidden"}


def test_the_prior_counts_ratings_and_holds_none_impossible() -> None:
    prior = rating_prior(np.array([0, 0, 0, 1, 5, 5, 5], dtype=np.uint8))
    np.testing.assert_allclose(prior, np.array([2, 1, 1, 1, 4]) / 9)
    assert len(prior) == len(STARS)
    assert UNKNOWN_RATING not in STARS
