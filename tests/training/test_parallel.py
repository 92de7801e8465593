import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.test_fit import options, train
from training.checkpoint import CHECKPOINT_FILE, read_checkpoint
from training.errors import TrainingError
from training.fit import Fit
from training.metadata import RUN_FILE
from training.options import FitOptions
from training.parallel import ALONE, Ranks
from training.run_log import LOG_FILE

# The learning rate stays level, so that a run that is lengthened goes on as if it had been that long from the start.
EVENLY = {"negatives": 0, "decay": 1e-9, "warmup": 0, "ngrams": 60, "ngram_size": 4, "lanes": 6, "average": 0.9}
UPDATES = 12


def epochs_of(corpus: Path, updates: int) -> float:
    """Epochs that make up just so many updates."""
    planned = Fit(options(epochs=1), corpus).tokens_planned
    return (updates - 0.5) * 6 * 16 / planned


JOIN_AND_LEAVE = """
import os
import torch
from training.parallel import joined

with joined():
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])
names = [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")]
os.write(1, f"{names}\\n".encode())  # at once, since two processes write
"""


def run_on_two(*command: str | Path) -> str:
    """Runs Python with these arguments in two processes; returns what they print."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python", "--"]
    finished = subprocess.run(
        [*launch, sys.executable, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def train_on_two(corpus: Path, run: Path, chosen: FitOptions, *more: str) -> str:
    """Trains in two processes, from the command line; returns what they print."""
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.model_dump(exclude_unset=True).items()]
    return run_on_two("-m", "training", "train", "--corpus", corpus, "--run", run, *arguments, *more)


def assert_same_run(path: Path, expected: Fit) -> None:
    """Holds a checkpoint to a run in one process, up to what the order of a sum changes."""
    saved = read_checkpoint(path)
    assert expected.average is not None
    assert saved["progress"]["updates"] == expected.updates
    assert saved["streams"] == expected.streams.state_dict()
    torch.testing.assert_close(saved["state"], expected.state, rtol=1e-3, atol=1e-4)
    for found, weight, average in zip(saved["raw_weights"], expected.dense, expected.average.averages, strict=True):
        torch.testing.assert_close(found, weight.detach(), rtol=1e-3, atol=1e-4)
        assert not torch.equal(found, average)
    for name, table in expected.network.named_parameters():
        if "tables" in name:
            torch.testing.assert_close(saved["network"][name], table.detach(), rtol=1e-3, atol=1e-4)


def test_two_processes_train_as_one_does(corpus: Path, tmp_path: Path) -> None:
    short, long = (options(**EVENLY, epochs=epochs_of(corpus, updates)) for updates in (UPDATES, 2 * UPDATES))
    alone = Fit(long, corpus)
    losses = train(alone, UPDATES)
    output = train_on_two(corpus, tmp_path, short)
    assert output.count("Trained") == 1  # one of them speaks
    (entry,) = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert entry["train_loss"] == pytest.approx(sum(losses) / UPDATES, abs=1e-4)
    assert entry["valid_bits_per_character"] == pytest.approx(alone.validate(70).bits_per_character, abs=1e-4)
    assert_same_run(tmp_path / CHECKPOINT_FILE, alone)

    # What two have begun, one goes on with, and so do two.
    by_one = Fit.load(tmp_path / CHECKPOINT_FILE, corpus, epochs=long.epochs)
    later = train(alone, UPDATES)
    assert train(by_one, UPDATES) == pytest.approx(later, abs=1e-3)
    train_on_two(corpus, tmp_path, short, "--resume", f"--epochs={long.epochs}")
    assert_same_run(tmp_path / CHECKPOINT_FILE, alone)
    sessions = json.loads((tmp_path / RUN_FILE).read_text())["sessions"]
    assert [(session["updates"], session["processes"]) for session in sessions] == [(0, 2), (UPDATES, 2)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the names of threads are read from Linux's /proc")
def test_the_groups_threads_end_with_it() -> None:
    # A thread that is left may run into the interpreter's end, which aborts the process.
    threads = run_on_two("-c", JOIN_AND_LEAVE)
    assert len(threads.splitlines()) == 2
    assert "gloo" not in threads


def test_every_lane_is_some_ranks() -> None:
    assert ALONE.lanes(5) == slice(0, 5)
    shares = [range(12)[Ranks(rank, 3).lanes(12)] for rank in range(3)]
    assert list(itertools.chain(*shares)) == list(range(12))
    assert {len(share) for share in shares} == {4}


def test_lanes_that_cannot_be_shared_out_are_refused(corpus: Path) -> None:
    with pytest.raises(TrainingError, match="4 lanes cannot be shared out to 3 processes; give a multiple"):
        Fit(options(), corpus, Ranks(0, 3))


def test_ranks_start_from_the_same_weights_and_drop_other_units(corpus: Path) -> None:
    first, second = (Fit(options(), corpus, Ranks(rank, 2)).network.state_dict() for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    draws = []
    for rank in (0, 1):
        Fit(options(), corpus, Ranks(rank, 2))
        draws.append(torch.rand(4).tolist())
    assert draws[0] != draws[1]
