"""Dropout, in each of the places where it helps a recurrent network.

A unit is zeroed with probability p and the others are multiplied by 1 / (1 - p), so that the mean stays and nothing is
left to do once the network is trained: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from
Overfitting". In recurrent networks: Zaremba et al. 2014 (between the layers, not through time); Gal & Ghahramani 2016
(one mask for all times); Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models" (words, weights).
"""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Drops numbers of `values [T, B, N]`, anew at each time or, if `locked`, the same at all T.

    A locked mask holds for one batch: each lane has its own, and the next T steps of its review get another.
    """

    def __init__(self, share: float, locked: bool = False) -> None:
        super().__init__()
        self.share, self.locked = share, locked

    def forward(self, values: Tensor) -> Tensor:
        if not self.locked or not self.training or not self.share:
            return nn.functional.dropout(values, self.share, self.training)
        return values * nn.functional.dropout(torch.ones_like(values[:1]), self.share)


def drop_words(vectors: Tensor, tokens: Tensor, vocabulary_size: int, share: float) -> Tensor:
    """Zeroes the `vectors [T, B, E]` of a share of the vocabulary, wherever its `tokens [T, B]` stand in this batch."""
    kept = nn.functional.dropout(vectors.new_ones(vocabulary_size), share)
    return vectors * kept[tokens][..., None]
