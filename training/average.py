"""A running average of the weights, which is often better than the weights of any one update.

    θ̄ ← d θ̄ + (1 - d) θ after update t, d = min(decay, (1 + t) / (10 + t))

Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; as an exponential average with this
start, which forgets the first weights soon, in TensorFlow. The n-grams' tables stay out of it: an update touches a few
rows of each, an average would touch them all and take longer than the update; and the rare rows that an average might
calm are calm by themselves, as Adagrad makes the steps of each number smaller and smaller.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    def __init__(self, weights: list[nn.Parameter], decay: float) -> None:
        self.weights, self.decay = weights, decay
        self.averages = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Takes in the weights after so many `updates` of the run."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        for average, weight in zip(self.averages, self.weights, strict=True):
            average.lerp_(weight, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages in the weights' place for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for place, weight in enumerate(self.weights):
            weight.data, self.averages[place] = self.averages[place], weight.data

    def raw_weights(self) -> list[Tensor]:
        """The weights themselves, for a checkpoint whose network has the averages."""
        return [weight.data for weight in self.weights]

    @torch.no_grad()
    def restore(self, raw_weights: list[Tensor]) -> None:
        """Takes the weights, loaded from such a network, for the averages, and `raw_weights` for the weights."""
        for average, weight, raw in zip(self.averages, self.weights, raw_weights, strict=True):
            average.copy_(weight)
            weight.copy_(raw)
