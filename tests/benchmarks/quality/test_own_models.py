from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.own_models import estimate_kneser_ney, train_review_lm
from training.corpus import Split, corpus_vocabulary
from training.evaluate import evaluate, measurable_split, network_scorer
from training.fit import Fit
from training.options import FitOptions


def test_the_network_is_measured_as_it_would_be_saved(corpus: Path, vocabulary_size: int) -> None:
    options = FitOptions(embedding=16, hidden=32, ngrams=100, ngram_size=8, negatives=64, epochs=0.3, average=0.9)
    trained = train_review_lm(options, corpus)
    fit = Fit(options, corpus)
    for _ in fit.updates_forever():
        if fit.progress == 1:
            break
    with fit.averaged():
        expected = evaluate(network_scorer(fit.network), measurable_split(fit.valid_split, fit.tokenizer))
    measured = evaluate(trained.scorer, measurable_split(fit.valid_split, fit.tokenizer))
    assert measured.log_probability == pytest.approx(expected.log_probability, rel=1e-6)
    assert (trained.tokens, trained.options) == (fit.tokens, options.model_dump(mode="json"))
    lstm = 4 * 32 * (16 + 32 + 1)
    projections = (32 + 1) * 16 + 2 * (2 * 8) * 16
    assert trained.parameters == vocabulary_size * (16 + 1) + lstm + projections
    assert trained.looked_up == sum(table.numel() for table in fit.tables) > 100 * 8


def test_the_n_gram_model_counts_every_n_gram_once(corpus: Path) -> None:
    trained = estimate_kneser_ney(corpus)
    split = Split(corpus, "train")
    reviews = [(0, *split.tokens_of(review).tolist(), 6) for review in range(len(split))]
    ngrams = {review[i : i + n] for review in reviews for n in range(2, 6) for i in range(len(review) - n + 1)}
    assert trained.looked_up == corpus_vocabulary(corpus).get_vocab_size() + len(ngrams)
    assert trained.tokens == len(split.tokens) + 2 * len(split)
    assert trained.parameters == 0
    found = evaluate(trained.scorer, measurable_split(split, corpus_vocabulary(corpus)))
    assert 1 < found.token_perplexity < np.sqrt(corpus_vocabulary(corpus).get_vocab_size())
