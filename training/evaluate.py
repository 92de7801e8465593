"""Measuring a model: perplexity per word and per token, and bits per character, of a split.

For R reviews of N characters in all, holding M words and punctuation marks and K tokens, with L the sum of the natural
log-probabilities of every token and every end mark:

    bits per character    -L / (N ln 2)
    perplexity per word   exp(-L / (M + R))
    perplexity per token  exp(-L / (K + R))
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from training.corpus import Split
from training.network import Network
from training.reviews import Review
from training.vocabulary import END, UNKNOWN_RATING, count_words

BATCH = 64
CHUNK = 4096
"""Reviews that are sorted by length together, so that batches hold little padding; no more are in memory at once."""
SOFTMAX_ROWS = 1024
"""Rows of logits that are held at once: 1024 × 16 000 floats are 64 MB."""

Scorer = Callable[[Tensor, Tensor], Tensor]
"""Takes `tokens [B, T]`, each row an opening, the review and its end mark, padded, and `lengths [B]`; returns the
natural log-probability of every token after the opening, `[B, T - 1]`, anything where a row is padded."""


@dataclass(frozen=True)
class Evaluation:
    """Totals over the reviews that were measured."""

    reviews: int
    words: int
    tokens: int
    characters: int
    log_probability: float

    @property
    def bits_per_character(self) -> float:
        return -self.log_probability / math.log(2) / self.characters

    @property
    def perplexity(self) -> float:
        return math.exp(-self.log_probability / (self.words + self.reviews))

    @property
    def token_perplexity(self) -> float:
        return math.exp(-self.log_probability / (self.tokens + self.reviews))

    def as_dict(self) -> dict[str, Any]:
        return {
            "bits_per_character": round(self.bits_per_character, 4),
            "perplexity_per_word": round(self.perplexity, 3),
            "perplexity_per_token": round(self.token_perplexity, 3),
            "reviews": self.reviews,
            "words": self.words,
            "tokens": self.tokens,
            "characters": self.characters,
        }


@dataclass(frozen=True)
class Measurable:
    """A review as it is measured: `tokens` are `opening w1 … wn end`, of `text`, which holds `words` by our count."""

    tokens: np.ndarray[Any, np.dtype[np.int64]]
    words: int
    characters: int


def measurable_split(split: Split, tokenizer: Tokenizer, rated: bool = True) -> Iterator[Measurable]:
    """The reviews of a prepared split, with their ratings or, if not `rated`, without."""
    for review in range(len(split)):
        ids = split.tokens_of(review).tolist()
        yield _measurable(ids, tokenizer.decode(ids), int(split.stars[review]) if rated else 0, tokenizer)


def measurable_reviews(reviews: Iterable[Review], tokenizer: Tokenizer, rated: bool = True) -> Iterator[Measurable]:
    """The same from reviews as they were read."""
    for review in reviews:
        ids = tokenizer.encode(review.text).ids
        yield _measurable(ids, review.text, (review.stars or 0) if rated else 0, tokenizer)


def _measurable(ids: list[int], text: str, stars: int, tokenizer: Tokenizer) -> Measurable:
    tokens = np.array([stars or UNKNOWN_RATING, *ids, END], dtype=np.int64)
    return Measurable(tokens, count_words(tokenizer, text), len(text))


def evaluate(scorer: Scorer, reviews: Iterable[Measurable], total: int | None = None, label: str = "") -> Evaluation:
    """Measures all `reviews`; shows a progress bar of `total` if `label` says what is being measured."""
    count = words = tokens = characters = 0
    log_probability = 0.0
    reviews = iter(reviews)
    with tqdm(total=total, unit="review", desc=label, disable=None if label else True) as bar:
        while chunk := list(itertools.islice(reviews, CHUNK)):
            for padded, lengths in batches(chunk):
                log_probability += float(total_log_probabilities(scorer, padded, lengths).sum())
                bar.update(len(lengths))
            count += len(chunk)
            words += sum(review.words for review in chunk)
            tokens += sum(len(review.tokens) - 2 for review in chunk)
            characters += sum(review.characters for review in chunk)
    return Evaluation(count, words, tokens, characters, log_probability)


def total_log_probabilities(scorer: Scorer, tokens: Tensor, lengths: Tensor) -> Tensor:
    """The natural log-probability of each review and its end mark, `[B]` float64, given its opening."""
    scores = scorer(tokens, lengths).double()
    padding = torch.arange(scores.shape[1]) >= (lengths - 1)[:, None]
    return scores.masked_fill(padding, 0.0).sum(dim=1)


def network_scorer(network: Network) -> Scorer:
    """Scores with a network in training precision."""
    device = network.embedding.device

    @torch.inference_mode()
    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        network.eval()
        inputs, targets = tokens.to(device).t()[:-1], tokens.to(device).t()[1:]
        projected, _ = network(inputs, network.initial_state(len(tokens)))
        chunks = zip(projected.flatten(0, 1).split(SOFTMAX_ROWS), targets.flatten().split(SOFTMAX_ROWS), strict=True)
        scores = [network.log_probabilities(p).gather(1, t[:, None])[:, 0] for p, t in chunks]
        return torch.cat(scores).view_as(targets).t().cpu()

    return score


def artifact_scorer(module: torch.jit.ScriptModule) -> Scorer:
    """Scores with an exported artifact, exactly as it will be served."""

    @torch.inference_mode()
    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        _, state = module.advance(tokens[:, :1], torch.ones_like(lengths), module.initial_state(len(tokens)))
        log_probabilities, _, _ = module.score(tokens[:, 1:], lengths - 1, state, False)
        scored: Tensor = log_probabilities
        return scored

    return score


def batches(reviews: list[Measurable], size: int = BATCH) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields `tokens [B, T]` and `lengths [B]` of reviews of like length."""
    ordered = sorted((review.tokens for review in reviews), key=len)
    for start in range(0, len(ordered), size):
        rows = [torch.from_numpy(row) for row in ordered[start : start + size]]
        yield (
            torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            torch.tensor([len(row) for row in rows]),
        )
