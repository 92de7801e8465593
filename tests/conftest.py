"""What tests of more than one part share."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from tests.reviews import made_up_reviews, write_json_lines

# A shell that runs the tests in the background has them ignore it, and the processes they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

TINY = ["--hidden=64", "--embedding=32", "--vocabulary-size=1000", "--lanes=8", "--negatives=256", "--warmup=20"]


@dataclass(frozen=True)
class TinyRun:
    """What one run of `python -m training all` read, wrote and printed."""

    reviews: Path
    corpus: Path
    run: Path
    artifact: Path
    output: str


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """As the service runs: threads of small products wait for each other wherever another process is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Trains a tiny network on 2,000 made-up reviews, from the command line alone, in a process of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    reviews = write_json_lines(folder / "reviews.json", made_up_reviews(2000, seed=1))
    corpus, run, artifact = folder / "corpus", folder / "run", folder / "model"
    folders: list[str | Path] = ["--corpus", corpus, "--run", run, "--destination", artifact]
    finished = subprocess.run(
        [sys.executable, "-m", "training", "all", reviews, *folders, "--epochs=1", "--calibrate=0", *TINY],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return TinyRun(reviews, corpus, run, artifact, finished.stdout)


@pytest.fixture(scope="session")
def tiny_artifact(tiny_run: TinyRun) -> Path:
    """The folder of a small but real artifact: language_model.pt, vocab.json, metrics.json and model_card.md.

    An LSTM of 64 units with embeddings of 32 numbers over about 600 tokens, trained for one epoch; its state has 128
    numbers. Every test of a session gets the same folder, so copy it before changing anything in it.
    """
    return tiny_run.artifact
