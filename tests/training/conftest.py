"""A small prepared corpus, made once for all tests of training."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.reviews import made_up_reviews, write_json_lines
from training.corpus import corpus_vocabulary, prepare_corpus


@pytest.fixture(scope="session")
def records() -> list[dict[str, Any]]:
    return made_up_reviews(300, seed=2)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]) -> Path:
    """The records above: 200 to train on, 70 to validate on, 30 to test on, under at most 700 tokens."""
    folder = tmp_path_factory.mktemp("corpus")
    slices = {"train": slice(0, 200), "valid": slice(200, 270), "test": slice(270, 300)}
    sources = {split: [write_json_lines(folder / f"{split}.json", records[part])] for split, part in slices.items()}
    prepare_corpus(sources, folder, vocabulary_size=700, vocabulary_reviews=200, progress=False)
    return folder


@pytest.fixture(scope="session")
def tokenizer(corpus: Path) -> Tokenizer:
    return corpus_vocabulary(corpus)
