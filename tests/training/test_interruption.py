"""A run that is killed, as a machine that fails would end it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

from tests.training.test_fit import options
from training.checkpoint import CHECKPOINT_FILE, read_checkpoint
from training.fit import fit
from training.run_log import LOG_FILE

ARGUMENTS = ["--epochs=1", "--embedding=16", "--hidden=32", "--lanes=4", "--steps=16", "--negatives=64", "--warmup=5"]


def test_a_killed_run_loses_at_most_one_interval_and_ends_as_if_nothing_had_happened(
    corpus: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-m", "training", "train", *ARGUMENTS, f"--corpus={corpus}", f"--run={run}",
         "--save-minutes=1e-9"],  # the interval is one update
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        announced = [process.stdout.readline() for _ in range(5)]  # a line a checkpoint
        process.send_signal(signal.SIGKILL)
        announced += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    made = int(announced[-1].split()[0].replace(",", "")) // 64
    saved = read_checkpoint(run / CHECKPOINT_FILE)["progress"]["updates"]
    assert 5 <= made <= saved <= made + 1
    assert len((run / LOG_FILE).read_text().splitlines()) in (made, made + 1)

    (run / "checkpoint.writing").write_bytes(b"half a checkpoint")
    resumed = fit(options(), corpus, run, resume=True, save_minutes=5, progress=False)
    undisturbed = fit(options(epochs=1), corpus, tmp_path / "other", resume=False, save_minutes=5, progress=False)
    assert resumed.updates == undisturbed.updates > saved + 10
    for name, value in undisturbed.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name
    last = [json.loads((folder / LOG_FILE).read_text().splitlines()[-1]) for folder in (run, tmp_path / "other")]
    assert last[0]["valid_bits_per_character"] == last[1]["valid_bits_per_character"]
