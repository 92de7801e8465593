"""An n-gram language model with modified Kneser–Ney smoothing, interpolated: the classic that a network has to beat.

Chen & Goodman 1999, "An Empirical Study of Smoothing Techniques for Language Modeling". For a token w after a context
c of n - 1 tokens, where c' is c without its first token:

    p(w | c) = (a(c w) - D(c w)) / Σ_v a(c v)  +  γ(c) p(w | c')        γ(c) = Σ_v D(c v) / Σ_v a(c v)

The first term is 0 where `c w` was never seen, and γ is 1 where c was never. At the bottom p is uniform over the tokens
that can be predicted. a counts how often an n-gram of the highest order occurs and, below it, how many distinct tokens
it occurs after. D is D1, D2 or D3 for an n-gram with a = 1, 2 or more. With n_j n-grams of the order that have a = j:

    D_j = j - (j + 1) Y n_{j+1} / n_j        Y = n_1 / (n_1 + 2 n_2)

As in KenLM (Heafield et al. 2013, "Scalable Modified Kneser-Ney Language Model Estimation"), one mark opens a review,
which is never predicted, and n-grams that begin with it keep their plain counts at every order, as nothing precedes
them. Ratings are not used.

`python -m training.baselines.kneser_ney --corpus corpus --order 5` estimates, measures and saves a model.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.corpus import Split, corpus_vocabulary
from training.errors import TrainingError
from training.evaluate import Scorer, evaluate, measurable_split
from training.vocabulary import END, UNKNOWN_RATING

START = UNKNOWN_RATING
"""The opening that stands for them all."""
UNSEEN = -1
"""Id of an n-gram that the training data does not have; as an index it means an array's last entry."""
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where a corpus is too small to tell them: KenLM's."""

Integers = NDArray[np.int64]
Floats = NDArray[np.floating]


# ---- estimation ----


@dataclass(frozen=True)
class Counts:
    """The `N` n-grams of one order: `keys [N]`, ascending, and their adjusted counts a `[N]`.

    The key of `c w` is V × (id of c) + w, and its id is its place among the keys of its order; a single token is its
    own id. So a key takes an integer at any order, and the n-grams that continue a context stand side by side.
    """

    keys: Integers
    adjusted: Integers


def count_ngrams(tokens: Integers, order: int, vocabulary_size: int) -> list[Counts]:
    """Counts the n-grams of each order up to `order` in `tokens [T]`: reviews in a row, each `START w1 … wn END`."""
    plain = np.bincount(tokens, minlength=vocabulary_size)
    plain[START] = 0
    counts = [Counts(np.arange(vocabulary_size), plain)]
    ids = tokens  # of the n-gram that ends at each token
    for _ in range(order - 1):
        (ends,) = np.nonzero((ids[:-1] != UNSEEN) & (tokens[1:] != START))
        ends += 1
        keys, first, inverse, plain = np.unique(
            ids[ends - 1] * vocabulary_size + tokens[ends], return_index=True, return_inverse=True, return_counts=True
        )
        shorter = counts[-1]
        preceded = np.bincount(ids[ends[first]], minlength=len(shorter.keys))
        counts[-1] = Counts(shorter.keys, np.where(preceded > 0, preceded, shorter.adjusted))
        counts.append(Counts(keys, plain))
        ids = np.full_like(tokens, UNSEEN)
        ids[ends] = inverse
    return counts


def discounts(adjusted: Integers) -> Floats:
    """D1, D2 and D3 from the adjusted counts of one order; `FALLBACK` where they give none between 0 and D_j ≤ j."""
    n = np.bincount(np.minimum(adjusted, 5), minlength=6)
    if not n[1:4].all():
        return np.array(FALLBACK)
    y, j = n[1] / (n[1] + 2 * n[2]), np.arange(1, 4)
    found: Floats = j - (j + 1) * y * n[2:5] / n[1:4]
    return found if (found >= 0).all() else np.array(FALLBACK)


@dataclass(frozen=True)
class Level:
    """The two terms of the formula for one order, with `N` n-grams after `C` contexts.

    `shares [N + 1]` is the first term by the n-gram's id, `backoffs [C + 1]` is γ by the context's. The last entries
    stand for all that was never seen: 0, 1, and in `keys [N + 1]` one that nobody asks for.
    """

    keys: Integers
    shares: Floats
    backoffs: Floats
    vocabulary_size: int

    @classmethod
    def estimate(cls, counts: Counts, contexts: int, vocabulary_size: int) -> Self:
        context_of, adjusted = counts.keys // vocabulary_size, counts.adjusted
        discounted = np.array([0, *discounts(adjusted)])[np.minimum(adjusted, 3)]
        totals = np.bincount(context_of, weights=adjusted, minlength=contexts)
        withheld = np.bincount(context_of, weights=discounted, minlength=contexts)
        backoffs = np.divide(withheld, totals, out=np.ones(contexts), where=totals > 0)
        shares = (adjusted - discounted) / totals[context_of]
        return cls(
            np.append(counts.keys, np.iinfo(np.int64).max),
            np.append(shares, 0).astype(np.float32),
            np.append(backoffs, 1).astype(np.float32),
            vocabulary_size,
        )

    def find(self, contexts: Integers, tokens: Integers) -> Integers:
        """The ids of the n-grams made of contexts, by their ids, and tokens; `UNSEEN` for those that are not here."""
        wanted = (contexts * self.vocabulary_size + tokens).ravel()
        order = np.argsort(wanted)  # neighbours are searched for in the same few cache lines
        places = np.empty_like(wanted)
        places[order] = np.searchsorted(self.keys, wanted[order])
        return np.where(self.keys[places] == wanted, places, UNSEEN).reshape(contexts.shape)

    def continuations(self, contexts: Integers) -> tuple[Integers, Integers, Floats]:
        """All n-grams after `contexts [B]`: for each the row of its context, its last token, and its share."""
        starts, ends = (np.searchsorted(self.keys, (contexts + more) * self.vocabulary_size) for more in (0, 1))
        lengths = ends - starts
        rows = np.repeat(np.arange(len(contexts)), lengths)
        ids = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return rows, self.keys[ids] % self.vocabulary_size, self.shares[ids]


# ---- the model ----


class KneserNey:
    """`log_probabilities` scores texts; `initial_state` and `step` predict as `artifact.ServedNetwork` does.

    `unigrams [V]` is p(w) without any context, `levels` are the orders from 2 up, `discounts [n, 3]` are those of every
    order.
    """

    def __init__(self, unigrams: Floats, levels: list[Level], discounts: Floats) -> None:
        self.unigrams, self.levels, self.discounts = unigrams, levels, discounts
        self.state_size = len(levels)

    @property
    def order(self) -> int:
        """Tokens in the longest n-gram."""
        return len(self.discounts)

    @property
    def parameters(self) -> int:
        """Probabilities and back-off weights that it keeps."""
        return len(self.unigrams) + sum(len(level.shares) + len(level.backoffs) - 2 for level in self.levels)

    @classmethod
    def estimate(cls, tokens: Integers, order: int, vocabulary_size: int) -> Self:
        """Estimates the model from `tokens [T]`, as `count_ngrams` takes them."""
        counts = count_ngrams(tokens, order, vocabulary_size)
        contexts = [1, *(len(shorter.keys) for shorter in counts[:-1])]
        lowest, *levels = (Level.estimate(*pair, vocabulary_size) for pair in zip(counts, contexts, strict=True))
        uniform = (np.arange(vocabulary_size) >= END) / (vocabulary_size - END)
        unigrams = lowest.shares[:-1] + lowest.backoffs[0] * uniform
        return cls(unigrams, levels, np.array([discounts(each.adjusted) for each in counts]))

    def log_probabilities(self, tokens: Integers) -> Floats:
        """Natural log-probability of each token of `[..., T]` after those before it, the first left out `[..., T - 1]`.

        A row may hold reviews in a row; their openings, which are never predicted, have minus infinity.
        """
        tokens = np.where(tokens < END, START, tokens)
        p = self.unigrams[tokens[..., 1:]]
        for level, contexts, ngrams in self._walk(tokens):
            p = level.shares[ngrams] + level.backoffs[contexts[..., :-1]] * p
        with np.errstate(divide="ignore"):
            return np.log(p)

    def initial_state(self, batch: int) -> Tensor:
        """The state before any token, `[B, S]`; a state is the last S = n - 1 tokens, so this is an opened review."""
        return torch.full([batch, self.state_size], float(START))

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]`; returns natural log-probabilities of the next token `[B, V]` and the state after.

        An opening makes the model forget what came before.
        """
        state = torch.cat([state, tokens[:, None].to(state)], dim=1)[:, 1:]
        state = torch.where(tokens[:, None] < END, START, state)
        p = np.tile(self.unigrams, (len(tokens), 1))
        for level, contexts, _ in self._walk(state.numpy().astype(np.int64)):
            p *= level.backoffs[contexts[:, -1:]]
            rows, following, shares = level.continuations(contexts[:, -1])
            p[rows, following] += shares
        return torch.from_numpy(p).log().float(), state

    def _walk(self, tokens: Integers) -> Iterator[tuple[Level, Integers, Integers]]:
        """Yields, for each order from 2 up, the ids of contexts ending at each token of `[..., T]`, and of the n-grams
        that these make with the token after, `[..., T - 1]`."""
        contexts = tokens
        for level in self.levels:
            ngrams = level.find(contexts[..., :-1], tokens[..., 1:])
            yield level, contexts, ngrams
            contexts = np.concatenate([np.full_like(tokens[..., :1], UNSEEN), ngrams], axis=-1)

    # ---- files ----

    def save(self, path: Path) -> None:
        """Writes the model to one .npz file; replaces `path` once it is whole."""
        arrays = {
            f"{name}_{order}": getattr(level, name)
            for order, level in enumerate(self.levels, start=2)
            for name in ("keys", "shares", "backoffs")
        }
        temporary = path.with_suffix(".writing")
        with temporary.open("wb") as file:
            np.savez(file, unigrams=self.unigrams, discounts=self.discounts, **arrays)
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                unigrams, found = arrays["unigrams"], arrays["discounts"]
                levels = [
                    Level(arrays[f"keys_{n}"], arrays[f"shares_{n}"], arrays[f"backoffs_{n}"], len(unigrams))
                    for n in range(2, len(found) + 1)
                ]
        except Exception as error:
            raise TrainingError(
                f"{path} holds no n-gram model that can be read ({error}); estimate it again."
            ) from error
        return cls(unigrams, levels, found)


def kneser_ney_scorer(model: KneserNey) -> Scorer:
    """Scores with an n-gram model."""

    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        return torch.from_numpy(model.log_probabilities(tokens.numpy()))

    return score


# ---- the command ----


def token_stream(split: Split) -> Integers:
    """The reviews of a split in a row, each `START w1 … wn END`."""
    starts = split.offsets[:-1] + 2 * np.arange(len(split))
    ends = split.offsets[1:] + 2 * np.arange(len(split)) + 1
    stream = np.empty(len(split.tokens) + 2 * len(split), dtype=np.int64)
    stream[starts], stream[ends] = START, END
    text = np.ones(len(stream), dtype=bool)
    text[starts] = text[ends] = False
    stream[text] = split.tokens
    return stream


def run(corpus: Path, order: int, destination: Path) -> None:
    """Estimates a model from a corpus, measures it on the other splits, and writes it to `destination`/model.npz."""
    if order < 1:
        raise TrainingError(f"An n-gram has at least one token; --order {order} is none.")
    tokenizer = corpus_vocabulary(corpus)
    model = KneserNey.estimate(token_stream(Split(corpus, "train")), order, tokenizer.get_vocab_size())
    for n, found in enumerate(model.discounts, start=1):
        print(f"{n}-grams: discounts " + " ".join(f"{discount:.4f}" for discount in found))
    for name in ("valid", "test"):
        split = Split(corpus, name)
        measured = evaluate(kneser_ney_scorer(model), measurable_split(split, tokenizer), len(split), name)
        print(
            f"{name:<6} {measured.token_perplexity:.3f} perplexity per token, "
            f"{measured.bits_per_character:.4f} bits per character"
        )
    destination.mkdir(parents=True, exist_ok=True)
    model.save(destination / "model.npz")
    print(f"Wrote {destination / 'model.npz'}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.baselines.kneser_ney", description=run.__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("corpus"), help="folder of the prepared corpus")
    parser.add_argument("--order", type=int, default=5, help="tokens in the longest n-gram")
    parser.add_argument("--run", type=Path, default=Path("runs/kneser-ney"), help="folder that the model is written to")
    options = parser.parse_args(arguments)
    try:
        run(options.corpus, options.order, options.run)
    except (TrainingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
