"""The models of this project that the comparison trains: its network, and its n-gram model."""

import copy
from pathlib import Path

from tqdm import tqdm

from benchmarks.quality.results import Trained
from benchmarks.quality.training_time import clock
from training.baselines.kneser_ney import KneserNey, kneser_ney_scorer, token_stream
from training.corpus import Split, corpus_vocabulary
from training.evaluate import network_scorer
from training.fit import Fit
from training.options import FitOptions

ORDER = 5
"""Tokens in the longest n-gram: with more, these models hardly gain and grow a lot."""


def train_review_lm(options: FitOptions, corpus: Path) -> Trained:
    """Trains the network as `python -m training train` does, and takes what it would save."""
    fit = Fit(options, corpus, clock=clock)
    for _ in tqdm(fit.updates_to_the_end(), desc="training", unit=" updates", disable=None):
        pass
    with fit.averaged():
        network = copy.deepcopy(fit.network)
    looked_up = sum(table.numel() for table in fit.tables)
    parameters = sum(parameter.numel() for parameter in network.parameters()) - looked_up
    scorer = network_scorer(network)
    return Trained(scorer, parameters, looked_up, fit.tokens, fit.seconds, options.model_dump(mode="json"))


def estimate_kneser_ney(corpus: Path) -> Trained:
    """Estimates the n-gram model from all the training data, however long that takes."""
    started = clock()
    stream = token_stream(Split(corpus, "train"))
    model = KneserNey.estimate(stream, ORDER, corpus_vocabulary(corpus).get_vocab_size())
    seconds = clock() - started
    ngrams = len(model.unigrams) + sum(len(level.keys) - 1 for level in model.levels)  # less the entry for the unseen
    return Trained(kneser_ney_scorer(model), 0, ngrams, len(stream), seconds, {"order": ORDER})
