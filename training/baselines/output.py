"""Output layers: the softmax over the whole vocabulary, and one factored by classes.

Class-factored (Goodman 2001, "Classes for Fast Maximum Entropy Training"; Mikolov et al. 2011, "Extensions of Recurrent
Neural Network Language Model"): with c(w) the class of the token w and h the hidden state,

    P(w | h) = P(c(w) | h) P(w | c(w), h)        each a softmax: y = R h + r over classes, y = V h + b within one

so that a token's probability costs K + |c(w)| products in place of V. Classes are cut from the tokens in the order of
their frequency, so that each has about the same share of the text: the first few tokens are classes of their own, the
last class has thousands of tokens that are seldom asked for. A token then costs K + V / K on the average.
"""

import numpy as np
import torch
from torch import Tensor, nn

from training.softmax import SampledSoftmax
from training.vocabulary import END, OPENINGS

NEGATIVES = 1024
ROWS = 64
"""Rows of logits that are held at once in scoring: 64 × 16 000 floats are 4 MB, which stay in a processor's cache."""


class Output(nn.Module):
    """From hidden states `[N, F]` to probabilities of the next token."""

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats of `targets [N]`, as it is trained on."""
        raise NotImplementedError

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Natural log-probabilities of all tokens, `[N, V]`."""
        raise NotImplementedError

    def of_targets(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Natural log-probabilities of `targets [N]`, `[N]`."""
        raise NotImplementedError


class Softmax(Output):
    """y = b + `weight [V, F]` h; trained on a sample of the vocabulary (`training.softmax`), exact in all else."""

    def __init__(self, features: int, counts: Tensor, seed: int) -> None:
        """`counts [V]`: how often each token is a target in the training data."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(counts), features) * 0.1 * features**-0.5)
        self.bias = nn.Parameter((counts + 1).log() - (counts + 1).log().mean())  # begin at the unigrams
        self._sampled = SampledSoftmax(counts, min(NEGATIVES, len(counts)), seed)

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return self._sampled(hidden, targets, self.weight, self.bias)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        never = torch.zeros_like(self.bias)
        never[list(OPENINGS)] = -torch.inf  # they are given and never predicted
        return torch.log_softmax(nn.functional.linear(hidden, self.weight, self.bias + never), dim=1)

    def of_targets(self, hidden: Tensor, targets: Tensor) -> Tensor:
        pairs = zip(hidden.split(ROWS), targets.split(ROWS), strict=True)
        return torch.cat([self.log_probabilities(h).gather(1, own[:, None])[:, 0] for h, own in pairs])


class ClassFactored(Output):
    """`ordered [V - END]` are the tokens by class, of which `sizes [K]` says how many tokens each has."""

    ordered: Tensor
    class_of: Tensor
    place_of: Tensor

    def __init__(self, features: int, counts: Tensor, classes: int) -> None:
        """`counts [V]`: how often each token is a target in the training data; at most so many `classes` are made."""
        super().__init__()
        by_frequency = counts[END:].argsort(descending=True, stable=True) + END
        share = (counts[by_frequency] + 1).double()
        before = (share.cumsum(0) - share) / share.sum()
        _, class_, sizes = np.unique((before * classes).long().numpy(), return_inverse=True, return_counts=True)
        self.sizes: list[int] = sizes.tolist()
        starts = np.cumsum(sizes) - sizes
        for name in ("class_of", "place_of"):  # of each token; the openings have none and are never asked for
            self.register_buffer(name, torch.zeros(len(counts), dtype=torch.int64))
        self.register_buffer("ordered", by_frequency)
        self.class_of[by_frequency] = torch.from_numpy(class_)
        self.place_of[by_frequency] = torch.arange(len(by_frequency)) - torch.from_numpy(starts[class_])
        self.classes = nn.Linear(features, len(sizes))
        self.weight = nn.Parameter(torch.randn(len(by_frequency), features) * 0.1 * features**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(by_frequency)))

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return -self.of_targets(hidden, targets).mean()

    def of_targets(self, hidden: Tensor, targets: Tensor) -> Tensor:
        class_ = self.class_of[targets]
        scores = torch.log_softmax(self.classes(hidden), dim=1).gather(1, class_[:, None])[:, 0]
        order = class_.argsort()
        counts = class_.bincount(minlength=len(self.sizes)).tolist()
        rows, places = hidden[order].split(counts), self.place_of[targets][order].split(counts)
        # `split` gathers the gradients of all classes at once; one index for each would fill V rows every time.
        layers = zip(rows, self.weight.split(self.sizes), self.bias.split(self.sizes), places, strict=True)
        within = [
            torch.log_softmax(nn.functional.linear(own, weight, bias), dim=1).gather(1, place[:, None])[:, 0]
            for own, weight, bias, place in layers
        ]
        return scores.index_add(0, order, torch.cat(within)).masked_fill(targets < END, -torch.inf)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        logits = nn.functional.linear(hidden, self.weight, self.bias).split(self.sizes, dim=1)
        classes = torch.log_softmax(self.classes(hidden), dim=1).split(1, dim=1)
        scores = [class_ + torch.log_softmax(own, dim=1) for class_, own in zip(classes, logits, strict=True)]
        whole = hidden.new_full((len(hidden), len(self.class_of)), -torch.inf)
        return whole.index_copy(1, self.ordered, torch.cat(scores, dim=1))
