"""What a run tells as it goes: a progress bar, a line of JSON at each checkpoint, and curves for TensorBoard."""

import json
import math
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from training.errors import TrainingError

LOG_FILE = "log.jsonl"
SHOWN_EVERY = 10
"""Updates from one point of the curves, and of the bar, to the next."""


class RunLog:
    """A context that closes what it writes; `updates` is how far the run is when it begins or goes on."""

    def __init__(self, run: Path, updates: int, progress: bool, tensorboard: bool) -> None:
        self._curves = _curves(run, updates) if tensorboard else None
        self._lines = (run / LOG_FILE).open("a")
        self._bar = tqdm(total=100, unit="%", desc="training", disable=None if progress else True,
                         bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}")  # fmt: skip
        self._losses: list[float] = []

    def update(self, updates: int, progress: float, loss: float, learning_rate: float) -> None:
        """Takes the loss of one update, in nats per token."""
        self._losses.append(loss)
        self._bar.n = round(100 * progress, 2)
        if updates % SHOWN_EVERY == 0:
            self._bar.set_postfix_str(f"perplexity {math.exp(float(np.mean(self._losses[-100:]))):.1f} per token")
            recent = float(np.mean(self._losses[-SHOWN_EVERY:]))
            self._curve(updates, train_loss=recent, learning_rate=learning_rate)

    def checkpoint(self, entry: dict[str, float]) -> None:
        """Writes what was measured at a checkpoint, and the mean loss since the one before."""
        line = {**entry, "train_loss": float(np.mean(self._losses))}
        self._losses = []
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        self._curve(int(entry["updates"]), valid_bits_per_character=entry["valid_bits_per_character"])
        self._bar.write(f"{entry['tokens']:>12,} tokens: {entry['valid_bits_per_character']:.4f} bits per character")

    def _curve(self, updates: int, **values: float) -> None:
        if self._curves:
            for name, value in values.items():
                self._curves.add_scalar(name, value, updates)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()
        self._lines.close()
        if self._curves:
            self._curves.close()


def _curves(run: Path, updates: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (takes seconds, and few ask for it)
    except ImportError:
        raise TrainingError(
            "TensorBoard is not installed; run `pip install --editable '.[tensorboard]'`, or leave out --tensorboard."
        ) from None
    return SummaryWriter(run, purge_step=updates + 1)
