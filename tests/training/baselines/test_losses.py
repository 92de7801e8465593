import math

import pytest
import torch

from training.baselines.losses import (
    ClassLoss,
    cross_entropy,
    hinge,
    logistic,
    multiclass_hinge,
    squared_error,
    zero_one,
)

SCORES = torch.tensor([[2.0, 1.0, -1.0], [0.0, 0.5, 3.0]])
TARGETS = torch.tensor([0, 1])
"""The first is right by a margin of 1, the second wrong by one of -2.5."""


@pytest.mark.parametrize(
    ("loss", "first", "second"),
    [
        (cross_entropy, math.log(1 + math.exp(-1) + math.exp(-3)), math.log(math.exp(-0.5) + 1 + math.exp(2.5))),
        (multiclass_hinge, 0.0, 3.5),
        (squared_error, 1 + 1 + 1, 0.25 + 9),
    ],
)
def test_a_loss_is_the_mean_of_its_formula(loss: ClassLoss, first: float, second: float) -> None:
    assert float(loss(SCORES, TARGETS)) == pytest.approx((first + second) / 2)
    assert float(loss(SCORES[1:], TARGETS[1:])) == pytest.approx(second)


def test_the_hinge_is_flat_from_a_margin_of_one() -> None:
    margins = torch.tensor([2.0, 1.0, 0.5, -2.0], requires_grad=True)
    loss = hinge(margins)
    assert float(loss.detach()) == pytest.approx((0 + 0 + 0.5 + 3) / 4)
    loss.backward()
    assert margins.grad is not None
    assert margins.grad[[0, 2, 3]].tolist() == [0, -0.25, -0.25]


def test_cross_entropy_of_two_classes_is_that_of_scores_that_far_apart() -> None:
    margins = torch.tensor([0.0, math.log(3), -2.0])
    pairs = torch.stack([margins, torch.zeros(3)], dim=1)
    expected = [float(cross_entropy(pair[None], torch.tensor([0]))) for pair in pairs]
    assert logistic(margins).tolist() == pytest.approx(expected)
    assert float(logistic(margins)[1]) == pytest.approx(math.log(4 / 3))


def test_errors_are_counted() -> None:
    assert zero_one(SCORES, TARGETS) == 0.5
    assert zero_one(SCORES, torch.tensor([0, 2])) == 0
    assert zero_one(SCORES, torch.tensor([2, 0])) == 1


def test_the_surrogates_are_never_below_the_errors() -> None:
    scores = torch.randn(200, 5, generator=torch.Generator().manual_seed(1)) * 2
    targets = torch.arange(200) % 5
    for row, target in zip(scores.split(1), targets.split(1), strict=True):
        wrong = zero_one(row, target)
        assert float(multiclass_hinge(row, target)) >= wrong
        assert float(cross_entropy(row, target)) / math.log(2) >= wrong
