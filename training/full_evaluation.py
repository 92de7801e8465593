"""Everything that is measured of a model, in one go: what `evaluate --full` prints, and the model card shows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from training.corpus import Split
from training.diversity import distinct, self_bleu
from training.errors import TrainingError
from training.evaluate import Measurable
from training.language_model import LanguageModel
from training.memorisation import longest_shared_runs, training_words, words_of
from training.ratings import rating_prior, score_ratings
from training.sampling import MAX_TOKENS, TEMPERATURE, TOP_P, write_reviews
from training.vocabulary import UNKNOWN_RATING
from training.word_prediction import measure_word_prediction

SEED = 1


@dataclass(frozen=True)
class Amounts:
    """How many reviews the costly figures are measured on: next words, and memorisation and diversity."""

    reviews: int
    generated: int


def evaluate_fully(
    models: dict[str, LanguageModel],
    tokenizer: Tokenizer,
    reviews: Sequence[Measurable],
    training: Split,
    amounts: Amounts,
    rated: bool = True,
) -> dict[str, Any]:
    """Measures the first of `models` on all counts; next words are measured of each.

    `reviews` open with their ratings; unless `rated`, the next words are predicted without. `training` is what the
    model was trained on, by which what it writes is judged.
    """
    for name, each in models.items():
        known = each.step(torch.zeros(1, dtype=torch.int64), each.initial_state(1))[0].shape[1]
        if known != tokenizer.get_vocab_size():
            raise TrainingError(
                f"The {name} knows {known:,} tokens, the vocabulary has {tokenizer.get_vocab_size():,}."
            )
    prior = rating_prior(training.stars)
    asked = spread(reviews if rated else [_unrated(review) for review in reviews], amounts.reviews)
    (model, *_) = models.values()
    return {
        "ratings_told": rated,
        "ratings": score_ratings(model, reviews, "ratings").as_dict(prior),
        "next_words": {
            name: measure_word_prediction(each, tokenizer, asked, f"next words, {name}").as_dict()
            for name, each in models.items()
        },
        "writing": _writing(model, tokenizer, spread(reviews, amounts.generated), training, amounts.generated),
    }


def spread(reviews: Sequence[Measurable], count: int) -> list[Measurable]:
    """Takes `count` reviews, or all if there are fewer, evenly from first to last."""
    count = min(count, len(reviews))
    return [reviews[index * len(reviews) // count] for index in range(count)]


def _unrated(review: Measurable) -> Measurable:
    tokens = review.tokens.copy()
    tokens[0] = UNKNOWN_RATING
    return replace(review, tokens=tokens)


def _writing(
    model: LanguageModel, tokenizer: Tokenizer, real: Sequence[Measurable], training: Split, count: int
) -> dict[str, Any]:
    """Memorisation and diversity of generated reviews, beside those of real ones cut at the same number of tokens."""
    written = {
        "generated": write_reviews(model, count, SEED, "writing"),
        "real": [review.tokens[1:-1][:MAX_TOKENS].tolist() for review in real],
    }
    texts = {name: [words_of(tokenizer.decode(tokens)) for tokens in rows] for name, rows in written.items()}
    words = min(sum(map(len, own)) for own in texts.values())
    runs = longest_shared_runs(
        [*texts["generated"], *texts["real"]], training_words(training, tokenizer, "memorisation")
    )
    return {
        "sampling": {"temperature": TEMPERATURE, "top_p": TOP_P, "max_tokens": MAX_TOKENS, "seed": SEED},
        "distinct_of_words": words,
        "generated": _figures(texts["generated"], runs[:count], words),
        "real": _figures(texts["real"], runs[count:], words),
    }


def _figures(texts: Sequence[Sequence[str]], runs: Iterable[int], words: int) -> dict[str, Any]:
    longest = np.asarray(runs)
    return {
        "reviews": len(texts),
        "words": sum(map(len, texts)),
        **{f"distinct_{n}": round(distinct(texts, n, words), 4) for n in (1, 2, 3)},
        "self_bleu_4": round(self_bleu(texts), 4),
        "longest_shared_run": {
            "median": float(np.median(longest)),
            "percentile_90": float(np.percentile(longest, 90)),
            "percentile_99": float(np.percentile(longest, 99)),
            "longest": int(longest.max()),
        },
    }
