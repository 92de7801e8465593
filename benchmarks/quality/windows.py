"""Reviews as rows for a model whose context is bounded.

A review longer than the context is read in windows that overlap by half, each opened by the review's rating. Every
token is predicted in exactly one of them, the first that reaches it, with at least half a context before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from training.corpus import Split

POOL = 4096
"""Reviews that are sorted by length together, so that batches hold little padding."""

Tokens = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Window:
    """Reads the opening and the tokens from `begin` to `end`, and predicts those that follow `first` to `end - 1`."""

    begin: int
    first: int
    end: int


def windows(length: int, context: int) -> Iterator[Window]:
    """Yields the windows of `length` inputs, each of at most `context`; were there more, only the last would change."""
    yield Window(1, 0, min(length, context))
    stride = context // 2
    for first in range(context, length, stride):
        yield Window(first - (context - stride) + 1, first, min(length, first + stride))


def rows_of(tokens: Tokens, context: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields inputs `[T]` and targets `[T]` for each window of `opening w1 … wn end`; a target of -1 does not count."""
    review = torch.from_numpy(tokens)
    for window in windows(len(review) - 1, context):
        inputs = torch.cat([review[:1], review[window.begin : window.end]])
        targets = torch.full_like(inputs, -1)
        predicted = window.end - window.first
        targets[len(targets) - predicted :] = review[window.first + 1 : window.end + 1]
        yield inputs, targets


class WindowBatches:
    """Endless batches `(inputs [B, T], targets [B, T])` of at most `tokens` inputs, in a new random order each epoch.

    Rows of a batch are of like length and padded with targets of -1. As in `ReviewStreams`, a share of the reviews
    hide their rating.
    """

    def __init__(self, split: Split, context: int, tokens: int, hidden_ratings: float, seed: int) -> None:
        self.split, self.context, self.tokens = split, context, tokens
        self.hidden_ratings, self.seed = hidden_ratings, seed
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            random = np.random.default_rng([self.seed, self.epoch])
            for pool in np.split(random.permutation(len(self.split)), range(POOL, len(self.split), POOL)):
                reviews = (self.split.whole(int(review), self.hidden_ratings, random) for review in pool)
                rows = [row for review in reviews for row in rows_of(review, self.context)]
                batches = list(_batches(rows, self.tokens))
                for chosen in random.permutation(len(batches)):
                    inputs, targets = ([row[part] for row in batches[chosen]] for part in (0, 1))
                    yield pad_sequence(inputs, batch_first=True), pad_sequence(targets, True, padding_value=-1)
            self.epoch += 1


def _batches(rows: list[tuple[Tensor, Tensor]], tokens: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    batch: list[tuple[Tensor, Tensor]] = []
    for row in sorted(rows, key=lambda row: len(row[0])):
        if batch and (len(batch) + 1) * len(row[0]) > tokens:
            yield batch
            batch = []
        batch.append(row)
    yield batch
