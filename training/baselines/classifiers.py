"""Two classifiers that tell a review's rating from its bag of words, each a pair of fully connected layers.

    tf-idf → fully connected        s = C relu(A x) + c,      x_w ∝ tf(w) idf(w), ‖x‖ = 1
    embedding → fully connected     s = C relu(B x + b) + c,  x = (1 / n) Σ_i e_{w_i}

tf(w) is how often w occurs in the review, idf(w) = 1 + ln((1 + N) / (1 + df(w))), df(w) how many of N reviews have it
(Spärck Jones 1972, "A Statistical Interpretation of Term Specificity", smoothed as scikit-learn does it). The mean of
embeddings is the "deep averaging network" of Iyyer et al. 2015. As x is sparse in both, A and the embeddings are
stored alike, a row for each word of which a review adds up its own: the two differ in the weights of the words, and in
that the second has a layer more.

Words are the tokens of the corpus; reviews without a rating are left out.
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.baselines.losses import ClassLoss, zero_one
from training.corpus import Split

CLASSES = 5
HIDDEN = 64
BATCH = 128
RATE = 1e-3
"""Adam's learning rate."""
PATIENCE = 3
"""Passes without a better accuracy on the validation reviews, after which training ends."""


@dataclass(frozen=True)
class Bags:
    """R rated reviews: the distinct tokens of review i are `tokens[offsets[i]:offsets[i + 1]]`, `counts` times each.

    `targets [R]` are the ratings less one.
    """

    tokens: Tensor
    counts: Tensor
    offsets: Tensor
    targets: Tensor

    @classmethod
    def read(cls, split: Split, words: int) -> "Bags":
        """The rated reviews of a split over a vocabulary of so many `words`; those without a token are left out."""
        lengths = np.diff(split.offsets)
        review = np.repeat(np.arange(len(split)), lengths)
        rated = (split.stars > 0) & (lengths > 0)
        keys, counts = np.unique(review[rated[review]] * words + split.tokens[rated[review]], return_counts=True)
        _, starts = np.unique(keys // words, return_index=True)
        return cls(
            torch.from_numpy(keys % words),
            torch.from_numpy(counts).float(),
            torch.from_numpy(np.append(starts, len(keys))),
            torch.from_numpy(split.stars[rated].astype(np.int64) - 1),
        )

    def __len__(self) -> int:
        return len(self.targets)

    def of_review(self, values: Tensor) -> Tensor:
        """Sums `values`, one for each distinct token, by review: `[R]`."""
        sums = torch.cat([torch.zeros(1, dtype=torch.double), values.double().cumsum(0)])
        return sums[self.offsets].diff().float()

    def spread(self, values: Tensor) -> Tensor:
        """Gives each distinct token the value `[R]` of its review."""
        return values.repeat_interleave(self.offsets.diff())


def inverse_document_frequency(bags: Bags, words: int) -> Tensor:
    """idf `[V]`."""
    return 1 + torch.log((1 + len(bags)) / (1 + torch.bincount(bags.tokens, minlength=words)))


def tf_idf(bags: Bags, idf: Tensor) -> Tensor:
    """x of the first formula, a value for each distinct token."""
    values = bags.counts * idf[bags.tokens]
    return values / bags.spread(bags.of_review(values.square()).sqrt())


def mean_weights(bags: Bags) -> Tensor:
    """tf(w) / n, with which summing up embeddings makes their mean."""
    return bags.counts / bags.spread(bags.of_review(bags.counts))


class RatingClassifier(nn.Module):
    """`first` adds up a row for each word of a review, `rest` makes scores of the sum."""

    def __init__(self, words: int, embedding: int | None, generator: torch.Generator) -> None:
        """With the size of an `embedding`, the second classifier; without, the first."""
        super().__init__()
        size = embedding or HIDDEN
        self.first = nn.EmbeddingBag.from_pretrained(
            torch.randn(words, size, generator=generator) * size**-0.5, freeze=False, mode="sum"
        )
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
        if embedding:
            self.rest.insert(0, nn.Linear(embedding, HIDDEN))

    def forward(self, tokens: Tensor, weights: Tensor, starts: Tensor) -> Tensor:
        """Scores `[B, 5]` of reviews in a row: `tokens [N]`, their `weights [N]`, and where each `starts [B]`."""
        scores: Tensor = self.rest(self.first(tokens, starts, per_sample_weights=weights))
        return scores


# ---- training ----


@dataclass(frozen=True)
class Weighed:
    """Bags and the weight of each distinct token."""

    bags: Bags
    weights: Tensor

    def batches(self, order: Tensor) -> Iterator[tuple[tuple[Tensor, Tensor, Tensor], Tensor]]:
        """Yields what the classifier takes and the targets, of the reviews in this `order`."""
        lengths = self.bags.offsets.diff()
        for reviews in order.split(BATCH):
            ends = lengths[reviews].cumsum(0)
            starts = ends - lengths[reviews]
            places = torch.arange(int(ends[-1])) + (self.bags.offsets[reviews] - starts).repeat_interleave(
                lengths[reviews]
            )
            yield (self.bags.tokens[places], self.weights[places], starts), self.bags.targets[reviews]


@torch.inference_mode()
def error(model: RatingClassifier, data: Weighed) -> float:
    """The share of reviews whose rating is told wrong: the 0/1 loss."""
    found = [(model(*given), targets) for given, targets in data.batches(torch.arange(len(data.bags)))]
    scores, targets = (torch.cat(parts) for parts in zip(*found, strict=True))
    return zero_one(scores, targets)


@dataclass(frozen=True)
class Trained:
    """The classifier of the pass with the least error on the validation reviews; all passes took so many seconds."""

    model: RatingClassifier
    passes: int
    seconds: float


def train_classifier(
    model: RatingClassifier,
    loss: ClassLoss,
    train: Weighed,
    valid: Weighed,
    seconds: float,
    seed: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> Trained:
    """Trains until `PATIENCE` passes have made nothing better, or for `seconds` of the `clock`, the processor's."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    started, least, best, best_pass, passes = clock(), 2.0, model, 0, 0
    while passes < best_pass + PATIENCE and clock() - started < seconds:
        for given, targets in train.batches(torch.randperm(len(train.bags), generator=generator)):
            optimizer.zero_grad(set_to_none=True)
            loss(model(*given), targets).backward()
            optimizer.step()
            if clock() - started >= seconds:
                break
        passes += 1
        if (wrong := error(model, valid)) < least:
            least, best, best_pass = wrong, copy.deepcopy(model), passes
    return Trained(best, passes, clock() - started)
