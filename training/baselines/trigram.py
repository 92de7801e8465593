"""A trigram language model by counts, in the three ways of the lecture.

With c(u, v, w) how often the token w comes after u and v, c(u, v) = Σ_w c(u, v, w), and V tokens that can be predicted:

    maximum likelihood     q(w | u, v) = c(u, v, w) / c(u, v)
    add-k                  q(w | u, v) = (c(u, v, w) + k) / (c(u, v) + k V)
    linear interpolation   q(w | u, v) = λ₃ c(u, v, w) / c(u, v) + λ₂ c(v, w) / c(v) + λ₁ c(w) / c() + λ₀ / V

Shannon 1948, "A Mathematical Theory of Communication" (n-grams by counts); Lidstone 1920 (add-k); Jelinek & Mercer
1980, "Interpolated Estimation of Markov Source Parameters from Sparse Data". The λ sum to 1 and maximise the likelihood
of held-out reviews, by expectation maximisation: with q₀ … q₃ the four terms without their λ,

    λ_n ← mean over held-out tokens of λ_n q_n / Σ_m λ_m q_m

With more than one bucket, a context has the λ of those that were seen about as often: λ(c(u, v)), by powers of 2. The
term of a context that was never seen is that of the next shorter one, so that all still sums to 1.

All three are f₀ + f₁ c(w) + f₂ c(v, w) + f₃ c(u, v, w) with factors f that depend on the context alone, and so they are
computed. Maximum likelihood gives what it never saw the probability 0, so its perplexity of new text is infinite. Where
even the context is new, it says nothing: 0 for every token. Two openings stand before a review's first token.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.evaluate import Scorer
from training.vocabulary import END, UNKNOWN_RATING

ORDER = 3
START = UNKNOWN_RATING
"""The opening that stands for them all."""
ITERATIONS = 30

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def contexts_of(before: Integers, last: Integers, vocabulary_size: int) -> list[Integers]:
    """The keys of the contexts (), (v) and (u, v) for u `before` and v `last`: the number that their tokens spell."""
    last = np.where(last < END, START, last)
    before = np.where(last == START, START, np.where(before < END, START, before))
    return [np.zeros_like(last), last, before * vocabulary_size + last]


@dataclass(frozen=True)
class Counts:
    """The `N` distinct n-grams of one order: `keys [N]`, V × context + token, ascending; `sums [N + 1]`, how often the
    n-grams before each one were seen together."""

    keys: Integers
    sums: Integers
    vocabulary_size: int

    @classmethod
    def count(cls, contexts: Integers, tokens: Integers, vocabulary_size: int) -> Self:
        keys, counts = np.unique(contexts * vocabulary_size + tokens, return_counts=True)
        return cls(keys, np.concatenate([[0], np.cumsum(counts)]), vocabulary_size)

    def _place(self, wanted: Integers) -> Integers:
        """How many keys are below those that are wanted, which need be in no order."""
        order = np.argsort(wanted, axis=None)  # neighbours are searched for in the same few cache lines
        places = np.empty(wanted.size, dtype=np.int64)
        places[order] = np.searchsorted(self.keys, wanted.ravel()[order])
        return places.reshape(wanted.shape)

    def ngrams(self, contexts: Integers, tokens: Integers) -> Integers:
        """c(context, token), in the shape of both."""
        key = contexts * self.vocabulary_size + tokens
        return self.sums[self._place(key + 1)] - self.sums[self._place(key)]

    def contexts(self, contexts: Integers) -> Integers:
        """c(context): how often any token came after it."""
        starts, ends = (self._place((contexts + more) * self.vocabulary_size) for more in (0, 1))
        return self.sums[ends] - self.sums[starts]

    def after(self, contexts: Integers) -> tuple[Integers, Integers, Integers]:
        """All n-grams after `contexts [B]`: for each the row of its context, its last token, and c(context, token)."""
        starts, ends = (np.searchsorted(self.keys, (contexts + more) * self.vocabulary_size) for more in (0, 1))
        lengths = ends - starts
        rows = np.repeat(np.arange(len(contexts)), lengths)
        ids = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return rows, self.keys[ids] % self.vocabulary_size, self.sums[ids + 1] - self.sums[ids]


class Trigram:
    """What the three ways share: the counts of one, two and three tokens, and how they are looked up."""

    state_size = 2
    """u and v, the last two tokens."""

    def __init__(self, counts: list[Counts]) -> None:
        self.counts = counts
        self.vocabulary_size = counts[0].vocabulary_size
        self.unigrams = np.zeros(self.vocabulary_size)
        self.unigrams[counts[0].keys] = np.diff(counts[0].sums)

    @property
    def parameters(self) -> int:
        """Counts that it keeps."""
        return sum(len(each.keys) for each in self.counts)

    def factors(self, contexts: list[Integers]) -> list[Floats]:
        """f₀ to f₃ from c(), c(v) and c(u, v), in their shape."""
        none = np.zeros(contexts[-1].shape)
        return [none, none, none, inverse(contexts[-1])]

    def log_probabilities(self, tokens: Integers) -> Floats:
        """Natural log-probability of each token of `[..., T]` after those before it, the first left out `[..., T - 1]`;
        openings, which are never predicted, have minus infinity."""
        before = np.concatenate([np.full_like(tokens[..., :1], START), tokens[..., :-2]], axis=-1)
        ngrams, contexts = self.look_up(before, tokens[..., :-1], tokens[..., 1:])
        q, *factors = self.factors(contexts)
        for factor, ngram in zip(factors, ngrams, strict=True):
            q = q + factor * ngram
        with np.errstate(divide="ignore"):
            return np.log(np.where(tokens[..., 1:] < END, 0, q))

    def look_up(self, before: Integers, last: Integers, tokens: Integers) -> tuple[list[Integers], list[Integers]]:
        """c(w), c(v, w), c(u, v, w) and c(), c(v), c(u, v) for u `before`, v `last` and w `tokens`."""
        pairs = list(zip(self.counts, contexts_of(before, last, self.vocabulary_size), strict=True))
        return [each.ngrams(context, tokens) for each, context in pairs], [each.contexts(c) for each, c in pairs]

    def initial_state(self, batch: int) -> Tensor:
        """The state before any token, `[B, 2]`."""
        return torch.full([batch, self.state_size], float(START))

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]`; returns natural log-probabilities of the next token `[B, V]` and the state after."""
        state = torch.stack([state[:, 1], tokens.to(state)], dim=1)
        before, last = state.long().numpy().T
        pairs = list(zip(self.counts, contexts_of(before, last, self.vocabulary_size), strict=True))
        uniform, unigram, *factors = self.factors([each.contexts(context) for each, context in pairs])
        q = uniform[:, None] + unigram[:, None] * self.unigrams
        for (each, context), factor in zip(pairs[1:], factors, strict=True):
            rows, following, counts = each.after(context[factor > 0])
            rows = np.flatnonzero(factor)[rows]
            q[rows, following] += factor[rows] * counts
        q[:, :END] = 0
        return torch.from_numpy(q).log().float(), state


class AddK(Trigram):
    """Every trigram counts `k` times more than it was seen."""

    def __init__(self, counts: list[Counts], k: float) -> None:
        super().__init__(counts)
        self.k = k

    def factors(self, contexts: list[Integers]) -> list[Floats]:
        share = 1 / (contexts[-1] + self.k * (self.vocabulary_size - END))
        return [self.k * share, 0 * share, 0 * share, share]


class Interpolated(Trigram):
    """All orders together, weighted by `weights [K, 4]`: λ₀ to λ₃ of contexts of each of K buckets."""

    def __init__(self, counts: list[Counts], weights: Floats) -> None:
        super().__init__(counts)
        self.weights = weights

    def factors(self, contexts: list[Integers]) -> list[Floats]:
        weights = np.moveaxis(self.weights[bucket_of(contexts[-1], len(self.weights))], -1, 0).copy()
        for n in range(ORDER, 0, -1):
            unseen = contexts[n - 1] == 0
            weights[n - 1] += weights[n] * unseen
            weights[n] *= ~unseen
        return [
            weights[0] / (self.vocabulary_size - END),
            *(w * inverse(c) for w, c in zip(weights[1:], contexts, strict=True)),
        ]


def count_trigrams(tokens: Integers, vocabulary_size: int) -> list[Counts]:
    """Counts one, two and three tokens of `tokens [T]`, reviews in a row, each `START w1 … wn END`."""
    before = np.concatenate([[START], tokens[:-2]])
    contexts = contexts_of(before, tokens[:-1], vocabulary_size)
    predicted = tokens[1:] != START
    return [Counts.count(each[predicted], tokens[1:][predicted], vocabulary_size) for each in contexts]


def fit_weights(counts: list[Counts], held_out: Integers, buckets: int) -> Floats:
    """The weights `[K, 4]` that make the reviews `held_out [T]` most probable, by expectation maximisation."""
    model = Trigram(counts)
    predicted = held_out[1:] != START
    before = np.concatenate([[START], held_out[:-2]])
    ngrams, contexts = model.look_up(before[predicted], held_out[:-1][predicted], held_out[1:][predicted])
    terms = np.full((len(ngrams[0]), ORDER + 1), 1 / (model.vocabulary_size - END))
    for n, (ngram, context) in enumerate(zip(ngrams, contexts, strict=True), start=1):
        terms[:, n] = np.where(context > 0, ngram * inverse(context), terms[:, n - 1])
    bucket = bucket_of(contexts[-1], buckets)
    weights = np.full((buckets, ORDER + 1), 1 / (ORDER + 1))
    members = np.maximum(np.bincount(bucket, minlength=buckets), 1)[:, None]
    for _ in range(ITERATIONS):
        shares = weights[bucket] * terms
        shares /= shares.sum(axis=1, keepdims=True)
        found = np.stack([np.bincount(bucket, share, minlength=buckets) for share in shares.T], axis=1) / members
        weights = np.where(found.sum(axis=1, keepdims=True) > 0, found, weights)  # none was held out: as it is
    return weights


def bucket_of(contexts: Integers, buckets: int) -> Integers:
    """0 for contexts never seen, 1 for those seen once, 2 for 2 to 3 times, 3 for 4 to 7 …, the last for all above."""
    return np.minimum(np.frexp(contexts)[1].astype(np.int64), buckets - 1)


def inverse(contexts: Integers) -> Floats:
    """1 / c(context), 0 where it was never seen."""
    return np.divide(1, contexts, out=np.zeros(contexts.shape), where=contexts > 0)


def trigram_scorer(model: Trigram) -> Scorer:
    """Scores with a trigram model."""

    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        return torch.from_numpy(model.log_probabilities(tokens.numpy()))

    return score
