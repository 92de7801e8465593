from pathlib import Path

import pytest

from tests.conftest import TinyRun
from training.corpus import Split, corpus_vocabulary


@pytest.fixture(scope="session")
def corpus(tiny_run: TinyRun) -> Path:
    """About 1,900 made-up reviews to train on, and 40 each to validate and to test on."""
    return tiny_run.corpus


@pytest.fixture(scope="session")
def train_split(corpus: Path) -> Split:
    return Split(corpus, "train")


@pytest.fixture(scope="session")
def vocabulary_size(corpus: Path) -> int:
    return corpus_vocabulary(corpus).get_vocab_size()
