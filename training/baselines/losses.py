"""The losses of the lecture, each for a batch and its mean, and the metric that they stand in for.

Scores s `[N, K]` are one number for each of K classes, targets y `[N]` the true class; a margin m `[N]` is how far the
right answer is ahead of a wrong one.

| loss | formula | used by |
|---|---|---|
| cross entropy | ln Σ_k exp(s_k) - s_y | the classifiers, the neural language models |
| of two classes | ln(1 + exp(-m)) | skip-gram |
| hinge | max(0, 1 - m) | the ranking model |
| of many classes | max(0, 1 + max_{k≠y} s_k - s_y) | the classifiers |
| squared error | Σ_k (s_k - [k = y])² | the classifiers |
| 0/1, the metric | [argmax_k s_k ≠ y] | all: 1 - accuracy |

Every one but the last has a gradient to follow; the hinges and the two cross entropies (over ln 2) are never below the
0/1 loss, so that making them small makes the errors few (Bartlett, Jordan & McAuliffe 2006, "Convexity, Classification,
and Risk Bounds"). The hinge of many classes is that of Crammer & Singer 2001.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

ClassLoss = Callable[[Tensor, Tensor], Tensor]
"""Takes scores `[N, K]` and targets `[N]`, returns their mean loss."""


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """In nats: minus the log-probability of the targets under the softmax of the scores."""
    return functional.cross_entropy(scores, targets)


def logistic(margins: Tensor) -> Tensor:
    """Cross entropy of two classes in nats, each example's own `[...]`: minus the log of σ(m)."""
    return functional.softplus(-margins)


def hinge(margins: Tensor) -> Tensor:
    """Zero for what is right by a margin of one."""
    return (1 - margins).clamp_min(0).mean()


def multiclass_hinge(scores: Tensor, targets: Tensor) -> Tensor:
    """The hinge of the true class's margin over the best of the others."""
    true = scores.gather(1, targets[:, None])[:, 0]
    others = scores.scatter(1, targets[:, None], -torch.inf).amax(dim=1)
    return hinge(true - others)


def squared_error(scores: Tensor, targets: Tensor) -> Tensor:
    """Of scores that should be 1 for the true class and 0 for the others, summed over the classes."""
    wanted = functional.one_hot(targets, scores.shape[1]).to(scores)
    return (scores - wanted).square().sum(dim=1).mean()


def zero_one(scores: Tensor, targets: Tensor) -> float:
    """The share of examples whose highest score is not the target's."""
    return float((scores.argmax(dim=1) != targets).double().mean())
