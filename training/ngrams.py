"""Frequent n-grams: which of them a token ends, looked up in sorted arrays.

A recurrence has to squeeze what came before through one small product. A table with a row for each frequent pair and
triple of tokens gives it its local context for the price of a look-up, however many rows there are. The idea is that of
hashed n-gram features (Mikolov et al. 2011, "Strategies for Training Large Scale Neural Network Language Models", and
fastText: Joulin et al. 2016); kept to the frequent ones, no two of them share a row.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.corpus import Split
from training.vocabulary import END

COUNTED_TOKENS = 50_000_000
"""The first so many tokens of a corpus decide which n-grams are frequent."""
ABSENT = torch.iinfo(torch.int64).max
"""A key that no n-gram has."""


def frequent_ngrams(split: Split, vocabulary_size: int, rows: int) -> list[Tensor]:
    """Finds the `rows` most frequent pairs and as many triples of tokens; returns their sorted keys, `[N]` int64 each.

    The key of a pair (u, w) is u·V + w, of a triple (t, u, w) it is (t·V + u)·V + w. Where the review has just begun,
    the tokens before are 0.
    """
    reviews = int(np.searchsorted(split.offsets, COUNTED_TOKENS, side="right")) - 1
    ends = split.offsets[: max(reviews, 1) + 1]
    tokens = split.tokens[: ends[-1]].astype(np.int64)
    place = np.arange(len(tokens)) - np.repeat(ends[:-1], np.diff(ends))  # within its review
    before = np.where(place >= 1, np.roll(tokens, 1), 0)
    pairs = before * vocabulary_size + tokens
    triples = np.where(place >= 2, np.roll(tokens, 2), 0) * vocabulary_size**2 + pairs
    return [_most_frequent(keys, rows) for keys in (pairs, triples)]


def _most_frequent(keys: np.ndarray[Any, np.dtype[np.int64]], rows: int) -> Tensor:
    found, counts = np.unique(keys, return_counts=True)
    if len(found) > rows:
        found = np.sort(found[np.argpartition(counts, len(found) - rows)[-rows:]])
    return torch.from_numpy(found)


class NgramTables(nn.Module):
    """`forward` turns each token and the two before it into the features of the pair and the triple they make.

    Its state is the two tokens before, `[B, 2]`, the older one first, as floats (exact up to 2^24).
    """

    state_size = 2

    def __init__(self, rows: int, size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.vocabulary_size, self.feature_size = vocabulary_size, 2 * size
        for n in (2, 3):
            # `fill` puts in the keys that were found; the last stays, so that every search ends at one.
            self.register_buffer(f"keys_{n}", torch.full((rows + 1,), ABSENT))
        self.tables = nn.ParameterList(nn.Parameter(torch.randn(rows + 1, size) * 0.01) for _ in (2, 3))
        for table in self.tables:
            table.data[0] = 0  # the row of all n-grams that are not frequent

    def fill(self, keys: list[Tensor]) -> None:
        for n, found in zip((2, 3), keys, strict=True):
            self.get_buffer(f"keys_{n}")[: len(found)] = found

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [T, B]` and the state before; returns features `[T, B, F]` and the state after."""
        opens = tokens < END
        words = tokens.masked_fill(opens, 0)
        history = torch.cat([state.t().to(torch.int64), words])
        before = history[1:-1].masked_fill(opens, 0)
        opened = torch.cat([opens.new_zeros(1, opens.shape[1]), opens[:-1]])
        earlier = history[:-2].masked_fill(opens | opened, 0)
        after = torch.stack([history[-2].masked_fill(opens[-1], 0), words[-1]], dim=1)
        pairs = before * self.vocabulary_size + words
        triples = earlier * self.vocabulary_size**2 + pairs
        features = [
            nn.functional.embedding(rows_of(self.get_buffer(f"keys_{n}"), keys), table, padding_idx=0, sparse=True)
            for n, keys, table in zip((2, 3), (pairs, triples), self.tables, strict=True)
        ]
        return torch.cat(features, dim=-1), after.to(state.dtype)


def rows_of(keys: Tensor, wanted: Tensor) -> Tensor:
    """The row of each `wanted` key, from 1; 0 where it is not among the sorted `keys`, whose last is never wanted."""
    place = torch.searchsorted(keys, wanted)
    return (place + 1) * (keys[place] == wanted)
