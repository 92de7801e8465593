"""Skip-gram: vectors from which a word's neighbours can be told.

Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their Compositionality". For a word w and
each word c at most d places from it, d drawn from 1 to `WINDOW`, with u the vectors of the one and v of the other side:

    negative sampling       ln σ(u_w · v_c) + Σ_i ln σ(-u_w · v_{n_i}),   k words n_i ~ count^¾
    hierarchical softmax    ln p(c | w) = Σ_j ln σ(turn_j(c) u_w · v_{node_j(c)})

The second goes down a Huffman tree, turning left (1) or right (-1) at each inner node on the way to c; it is a true
probability, whose sum over the vocabulary is 1. Both are sums of ln σ(±u · v) and differ in whose v are asked: so one
loop trains both. Frequent words are thinned out before windows are laid: w stays with the probability
min(1, √(t / f(w))), f its share of the text, which also lets the windows reach further.

Words are the tokens of the corpus, most of which are whole words.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.baselines.huffman import huffman_codes
from training.baselines.losses import logistic
from training.corpus import Split

WINDOW = 5
NEGATIVES = 5
THRESHOLD = 1e-4
"""t of the sub-sampling; the paper takes 1e-5 for a text a thousand times as long."""
RATE = 0.1
"""Learning rate at the beginning; it falls to zero. word2vec's 0.025 is for many times as many pairs."""
BATCH = 1024
STEPS = 16
"""Steps that a vector makes in a batch at most: all start from the same weights, and more would overshoot."""
CHUNK = 1000
"""Reviews whose pairs are shuffled together."""
DRAWS = 1 << 20
"""Entries of the list that negatives are drawn from."""

Integers = NDArray[np.int64]


class Output(Protocol):
    """What stands on the other side of a word: which of the `rows` vectors v are asked for a context, and for what."""

    rows: int

    def asked(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        """For `contexts [B]` the rows asked and the sign wanted of u · v, both `[B, A]`; a sign 0 does not count."""
        ...


class NegativeSampling:
    """Is this word really near, or was it drawn from count^¾?"""

    def __init__(self, counts: Tensor, seed: int = 1) -> None:
        """`counts [V]`: how often each word occurs."""
        self.rows, self._generator = len(counts), torch.Generator().manual_seed(seed)
        weights = counts.double() ** 0.75
        ends = (weights.cumsum(0) / weights.sum() * DRAWS).round().long()
        self._list = torch.repeat_interleave(torch.arange(len(counts)), ends.diff(prepend=torch.zeros(1).long()))

    def asked(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        places = torch.randint(len(self._list), (len(contexts), NEGATIVES), generator=self._generator)
        rows = torch.cat([contexts[:, None], self._list[places]], dim=1)
        signs = torch.full(rows.shape, -1.0)
        signs[:, 0] = 1
        # A draw that hits the context itself is none: the same pair cannot be both.
        signs[:, 1:][rows[:, 1:] == contexts[:, None]] = 0
        return rows, signs


class HierarchicalSoftmax:
    """Left or right, at each node on the way to the word?"""

    def __init__(self, counts: Tensor) -> None:
        """`counts [V]`: how often each word occurs."""
        self.nodes, self.turns = huffman_codes(counts.tolist())
        self.lengths = self.turns.abs().sum(dim=1).long()
        self.rows = len(counts) - 1

    def asked(self, contexts: Tensor) -> tuple[Tensor, Tensor]:
        longest = int(self.lengths[contexts].max())
        return self.nodes[contexts, :longest], self.turns[contexts, :longest]


@dataclass
class SkipGram:
    """`vectors [V, E]` are the words' u; `others` the v of the other side."""

    vectors: Tensor
    others: Tensor
    output: Output

    @classmethod
    def create(cls, words: int, size: int, output: Output, generator: torch.Generator) -> "SkipGram":
        """As word2vec begins: u uniform within ½ / E, v zero."""
        vectors = (torch.rand(words, size, generator=generator) - 0.5) / size
        return cls(vectors, torch.zeros(output.rows, size), output)

    def losses(self, words: Tensor, contexts: Tensor) -> Tensor:
        """Minus the formula's log-likelihood of each pair, `[B]`, in nats."""
        rows, signs = self.output.asked(contexts)
        return _losses(self.vectors[words], self.others[rows], signs)

    def update(self, words: Tensor, contexts: Tensor, rate: float) -> float:
        """One step of gradient descent on pairs `[B]`, each with the full rate; returns their mean loss before.

        A vector that is met more than `STEPS` times moves as if it were met so often.
        """
        rows, signs = self.output.asked(contexts)
        # Only the rows in hand get a gradient: that of all would be mostly zeros.
        own, other = self.vectors[words].requires_grad_(), self.others[rows].requires_grad_()
        loss = _losses(own, other, signs).sum()
        gradients = torch.autograd.grad(loss, [own, other])
        _descend(self.vectors, words, gradients[0], rate)
        _descend(self.others, rows.flatten(), gradients[1].flatten(0, 1), rate)
        return float(loss.detach()) / len(words)


def _descend(weights: Tensor, rows: Tensor, gradients: Tensor, rate: float) -> None:
    """Takes `gradients [N, E]` from the `rows [N]` of `weights`."""
    met = torch.bincount(rows, minlength=len(weights))[rows]
    gradients = gradients * (STEPS / met).clamp_max(1)[:, None]
    weights.index_add_(0, rows, gradients, alpha=-rate)


def _losses(own: Tensor, other: Tensor, signs: Tensor) -> Tensor:
    margins = (other @ own[:, :, None])[:, :, 0] * signs
    return (logistic(margins) * signs.abs()).sum(dim=1)


# ---- pairs ----


def word_counts(split: Split, words: int) -> Tensor:
    """How often each of the vocabulary's `words` occurs in the text, `[V]`."""
    return torch.from_numpy(np.bincount(split.tokens, minlength=words))


def kept(counts: Tensor) -> NDArray[np.float64]:
    """The probability `[V]` with which each word stays in the text."""
    share = counts.double() / counts.sum()
    return (THRESHOLD / share.clamp_min(THRESHOLD)).sqrt().numpy()


def skip_pairs(tokens: Integers, reviews: Integers, random: np.random.Generator) -> Integers:
    """Pairs of a word and one in its window, `[2, N]`, from `tokens [T]` of the `reviews [T]` in a row."""
    reach = random.integers(1, WINDOW + 1, len(tokens))
    pairs = []
    for distance in range(1, WINDOW + 1):
        same = reviews[distance:] == reviews[:-distance]
        for word, context in ((slice(distance, None), slice(-distance)), (slice(-distance), slice(distance, None))):
            chosen = same & (reach[word] >= distance)
            pairs.append(np.stack([tokens[word][chosen], tokens[context][chosen]]))
    return np.concatenate(pairs, axis=1)


def batches(split: Split, keep: NDArray[np.float64], random: np.random.Generator) -> Iterator[Tensor]:
    """Yields shuffled pairs `[2, B]`, review after review, again and again."""
    while True:
        for first in range(0, len(split), CHUNK):
            offsets = split.offsets[first : first + CHUNK + 1]
            tokens = split.tokens[offsets[0] : offsets[-1]].astype(np.int64)
            reviews = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            stays = random.random(len(tokens)) < keep[tokens]
            pairs = skip_pairs(tokens[stays], reviews[stays], random)
            shuffled = torch.from_numpy(pairs[:, random.permutation(pairs.shape[1])])
            yield from shuffled.split(BATCH, dim=1)


# ---- training ----


@dataclass(frozen=True)
class Trained:
    """A model, the pairs it saw, the seconds it took, and the mean loss of its last tenth in nats a pair."""

    model: SkipGram
    pairs: int
    seconds: float
    loss: float


def train_skip_gram(
    split: Split,
    counts: Tensor,
    size: int,
    output: Output,
    seconds: float,
    seed: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> Trained:
    """Trains vectors of `size` numbers for `seconds` of the `clock`, by default the processor's.

    `counts [V]` are those of the text.
    """
    model = SkipGram.create(len(counts), size, output, torch.Generator().manual_seed(seed))
    started, pairs, losses = clock(), 0, []
    for batch in batches(split, kept(counts), np.random.default_rng(seed)):
        progress = (clock() - started) / seconds
        if progress >= 1:
            break
        loss = model.update(batch[0], batch[1], RATE * (1 - progress))
        losses.append(loss)
        pairs += batch.shape[1]
    last = losses[-max(1, len(losses) // 10) :]
    return Trained(model, pairs, clock() - started, float(np.mean(last)))
