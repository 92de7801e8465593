"""The exact softmax that every model of the comparison is measured with."""

import torch
from torch import Tensor
from torch.nn import functional

from training.evaluate import SOFTMAX_ROWS


def log_probabilities_of(targets: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Natural log-probability of each of `targets [...]` after `hidden [..., H]`, for `weight [V, H]`, `bias [V]`."""
    pieces = zip(hidden.flatten(0, -2).split(SOFTMAX_ROWS), targets.flatten().split(SOFTMAX_ROWS), strict=True)
    scores = [-functional.cross_entropy(functional.linear(h, weight, bias), t, reduction="none") for h, t in pieces]
    return torch.cat(scores).view_as(targets)
