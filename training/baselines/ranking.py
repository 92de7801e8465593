"""A language model that only ranks: a real window of text must score above the same with another word in its middle.

Collobert & Weston 2008, "A Unified Architecture for Natural Language Processing", and Collobert et al. 2011, "Natural
Language Processing (Almost) from Scratch". For a window t of 2n + 1 words and t^r, in which the middle one is r:

    loss = max(0, 1 + f(t^r) - f(t)),    f(t) = a · hardtanh(b + Σ_i H_i e_{t_i})

with an embedding e of each word and H_i the hidden layer's weights for the i-th place. f is no probability, and so need
not be summed over the vocabulary: it costs the same for any number of words. What is wanted of it are the embeddings.

The papers draw r from the whole vocabulary alike and train for weeks. In minutes a model then learns which words are
frequent and little else, so here four in five r are drawn as the text has them: the middles of other windows.

Words are the tokens of the corpus; before and after a review its windows hold the opening mark.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.baselines.losses import hinge
from training.corpus import Split
from training.vocabulary import END, UNKNOWN_RATING

AROUND = 3
"""n, the words on either side of the middle."""
HIDDEN = 100
UNIFORM = 0.2
"""Share of the corrupted windows whose middle is any word of the vocabulary."""
BATCH = 512
RATE = 0.05
"""Adagrad's, whose steps are as long for a rare word as for a frequent one."""
CHUNK = 1000
"""Reviews whose windows are shuffled together."""

Integers = NDArray[np.int64]


class RankingModel(nn.Module):
    """f(t): scores windows `[B, 2n + 1]`."""

    def __init__(self, words: int, size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, size, sparse=True)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        self.around = nn.Linear(2 * AROUND * size, HIDDEN)
        self.middle = nn.Linear(size, HIDDEN, bias=False)
        self.score = nn.Linear(HIDDEN, 1, bias=False)

    def forward(self, windows: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `windows [B, 2n + 1]` and the same with `others [B]` in the middle, both `[B]`.

        What the words around add to the hidden layer is the same in both, and is computed once.
        """
        vectors = self.embedding(torch.cat([windows, others[:, None]], dim=1))
        beside = torch.cat([vectors[:, :AROUND], vectors[:, AROUND + 1 : -1]], dim=1)
        around = self.around(beside.flatten(1))[:, None]
        hidden = nn.functional.hardtanh(around + self.middle(vectors[:, [AROUND, -1]]))
        true, other = self.score(hidden)[..., 0].unbind(dim=1)
        return true, other


# ---- windows ----


def windows(split: Split, first: int, reviews: int) -> Tensor:
    """The window round each token of so many reviews from the `first` on, `[N, 2n + 1]`."""
    offsets = split.offsets[first : first + reviews + 1]
    tokens = split.tokens[offsets[0] : offsets[-1]].astype(np.int64)
    # n opening marks before each review serve the one before it as well.
    places = np.arange(len(tokens)) + AROUND * np.repeat(np.arange(1, len(offsets)), np.diff(offsets))
    padded = np.full(len(tokens) + AROUND * len(offsets), UNKNOWN_RATING)
    padded[places] = tokens
    return torch.from_numpy(padded[places[:, None] + np.arange(-AROUND, AROUND + 1)])


def batches(split: Split, generator: torch.Generator) -> Iterator[Tensor]:
    """Yields shuffled windows `[B, 2n + 1]`, review after review, again and again."""
    while True:
        for first in range(0, len(split), CHUNK):
            chunk = windows(split, first, CHUNK)
            yield from chunk[torch.randperm(len(chunk), generator=generator)].split(BATCH)


def corrupting_words(real: Tensor, words: int, uniform: float, generator: torch.Generator) -> Tensor:
    """Words `[B]` for the middle of `real [B, 2n + 1]`: the others' own middles, a share `uniform` any word at all."""
    own = real[torch.randperm(len(real), generator=generator), AROUND]
    any_word = torch.randint(END + 1, words, (len(real),), generator=generator)
    return torch.where(torch.rand(len(real), generator=generator) < uniform, any_word, own)


# ---- training and measuring ----


@dataclass(frozen=True)
class Trained:
    """A model, the windows it saw, and the seconds it took."""

    model: RankingModel
    windows: int
    seconds: float


def train_ranking(
    split: Split,
    words: int,
    size: int,
    seconds: float,
    seed: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> Trained:
    """Trains embeddings of `size` numbers for `seconds` of the `clock`, by default the processor's."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RankingModel(words, size)
    torch.sparse.check_sparse_tensor_invariants.disable()  # the default, but Adagrad warns until it is said
    optimizer = torch.optim.Adagrad(model.parameters(), lr=RATE)
    started, seen = clock(), 0
    for batch in batches(split, generator):
        progress = (clock() - started) / seconds
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - progress)
        true, corrupted = model(batch, corrupting_words(batch, words, UNIFORM, generator))
        loss = hinge(true - corrupted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seen += len(batch)
    return Trained(model, seen, clock() - started)


@torch.inference_mode()
def ranking_accuracy(model: RankingModel, real: Tensor, others: Tensor) -> float:
    """The share of windows `[N, 2n + 1]` that score above themselves with `others [N]` in the middle.

    Where the other word is the true one, there is nothing to tell, and the window does not count.
    """
    differ = real[:, AROUND] != others
    right = [
        (true > corrupted)
        for true, corrupted in (
            model(*pair) for pair in zip(real[differ].split(BATCH), others[differ].split(BATCH), strict=True)
        )
    ]
    return float(torch.cat(right).double().mean())
