"""What a rating tells about a review, and a review about its rating.

Every review is scored under each opening: the one that hides the rating, and those of 1 to 5 stars. By Bayes' rule the
rating under which a review is most probable, times the rating's own probability, is the likeliest: a generative
classifier that nobody trained as one (Ng & Jordan 2002, "On Discriminative vs. Generative Classifiers").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from training.evaluate import Evaluation, Measurable, batches, total_log_probabilities
from training.language_model import LanguageModel, step_scorer
from training.vocabulary import OPENINGS, UNKNOWN_RATING

Numbers = np.ndarray[Any, np.dtype[np.float64]]
STARS = range(1, 6)
LANES = 32
"""Reviews that are scored side by side."""


@dataclass(frozen=True)
class RatingScores:
    """`log_probabilities [R, 6]` of R reviews under each opening token, and their true ratings `[R]`, 0 if unknown."""

    reviews: Sequence[Measurable]
    log_probabilities: Numbers

    @property
    def stars(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return np.array([int(review.tokens[0]) for review in self.reviews])

    def evaluation(self, told: bool, stars: int | None = None) -> Evaluation:
        """Totals over all reviews or those of one rating, with the rating told to the model or hidden from it."""
        openings = self.stars if told else np.full(len(self.reviews), UNKNOWN_RATING)
        chosen = np.flatnonzero(self.stars == stars) if stars else np.arange(len(self.reviews))
        reviews = [self.reviews[index] for index in chosen.tolist()]
        return Evaluation(
            len(reviews),
            sum(review.words for review in reviews),
            sum(len(review.tokens) - 2 for review in reviews),
            sum(review.characters for review in reviews),
            float(self.log_probabilities[chosen, openings[chosen]].sum()),
        )

    def recognised(self, prior: Numbers) -> float:
        """The share of rated reviews whose likeliest rating is the true one; `prior [5]` are ratings' probabilities."""
        rated = self.stars > 0
        likeliest = (self.log_probabilities[rated, 1:] + np.log(prior)).argmax(axis=1) + 1
        return float((likeliest == self.stars[rated]).mean())

    def as_dict(self, prior: Numbers) -> dict[str, Any]:
        """The figures; `prior [5]` are the ratings' probabilities in the training reviews."""
        figures: dict[str, Any] = {"told": self.evaluation(True).as_dict(), "hidden": self.evaluation(False).as_dict()}
        if not self.stars.any():
            return figures
        rated = self.stars[self.stars > 0]
        return figures | {
            "by_stars": {
                str(stars): {
                    "told": self.evaluation(True, stars).as_dict(),
                    "hidden": self.evaluation(False, stars).as_dict(),
                }
                for stars in STARS
                if stars in rated
            },
            "recognised": {
                "rated_reviews": len(rated),
                "every_rating_alike": round(self.recognised(np.full(5, 0.2)), 4),
                "ratings_as_in_training": round(self.recognised(prior), 4),
                "always_the_most_frequent": round(float((rated == prior.argmax() + 1).mean()), 4),
            },
        }


def score_ratings(model: LanguageModel, reviews: Sequence[Measurable], label: str = "") -> RatingScores:
    """Scores all `reviews` under each opening; shows a progress bar if `label` says what is being measured."""
    scorer = step_scorer(model)
    ordered = sorted(reviews, key=lambda review: len(review.tokens))  # as `batches` orders them
    rows = []
    with tqdm(total=len(reviews), unit="review", desc=label, disable=None if label else True) as bar:
        for tokens, lengths in batches(ordered, LANES):
            columns = [total_log_probabilities(scorer, _opened(tokens, opening), lengths) for opening in OPENINGS]
            rows.append(np.stack([column.numpy() for column in columns], axis=1))
            bar.update(len(lengths))
    return RatingScores(ordered, np.concatenate(rows))


def rating_prior(stars: np.ndarray[Any, np.dtype[np.uint8]]) -> Numbers:
    """How probable each rating is, `[5]`, from those of the training reviews (Laplace's rule: none is impossible)."""
    counts = np.bincount(stars, minlength=6)[1:6] + 1.0
    prior: Numbers = counts / counts.sum()
    return prior


def _opened(tokens: Tensor, opening: int) -> Tensor:
    opened = tokens.clone()
    opened[:, 0] = opening
    return opened
