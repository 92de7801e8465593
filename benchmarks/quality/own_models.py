"""The models of this project that the comparison trains: its network, and its n-gram model."""

import tempfile
import time
from pathlib import Path

from benchmarks.quality.results import Trained
from training.baselines.kneser_ney import KneserNey, kneser_ney_scorer, token_stream
from training.checkpoint import CHECKPOINT_FILE, load_network
from training.corpus import Split, corpus_vocabulary
from training.evaluate import network_scorer
from training.fit import fit
from training.options import FitOptions

ORDER = 5
"""Tokens in the longest n-gram: with more, these models hardly gain and grow a lot."""


def train_review_lm(options: FitOptions, corpus: Path) -> Trained:
    """Trains the network as `python -m training train` does, and takes what it saves."""
    with tempfile.TemporaryDirectory() as run:
        finished = fit(options, corpus, Path(run), resume=False, save_minutes=options.minutes or 5)
        network, _ = load_network(Path(run) / CHECKPOINT_FILE)
    looked_up = sum(table.numel() for table in finished.tables)
    parameters = sum(parameter.numel() for parameter in network.parameters()) - looked_up
    scorer = network_scorer(network.to(finished.device))
    return Trained(scorer, parameters, looked_up, finished.tokens, finished.seconds, options.model_dump(mode="json"))


def estimate_kneser_ney(corpus: Path) -> Trained:
    """Estimates the n-gram model from all the training data, however long that takes."""
    started = time.monotonic()
    stream = token_stream(Split(corpus, "train"))
    model = KneserNey.estimate(stream, ORDER, corpus_vocabulary(corpus).get_vocab_size())
    seconds = time.monotonic() - started
    ngrams = len(model.unigrams) + sum(len(level.keys) - 1 for level in model.levels)  # less the entry for the unseen
    return Trained(kneser_ney_scorer(model), 0, ngrams, len(stream), seconds, {"order": ORDER})
