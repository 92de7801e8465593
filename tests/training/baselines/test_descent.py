import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.baselines.descent import Budget, Losses, descend, recurrent_losses, window_losses
from training.baselines.kneser_ney import token_stream
from training.baselines.neural import NeuralLanguageModel, Window
from training.baselines.output import ClassFactored
from training.baselines.recurrent import RecurrentLanguageModel
from training.corpus import Split
from training.errors import TrainingError
from training.vocabulary import END


class Number(nn.Module):
    """A model of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def losses(self, tokens: int = 10) -> Losses:
        while True:
            yield (self.weight - 1).square(), tokens


def test_training_ends_with_its_tokens() -> None:
    model = Number()
    spent = descend(model, model.losses(), Budget(1e9, tokens=8000), lambda: (model.weight.item() - 1) ** 2)
    assert spent.tokens == 8000
    assert 0 < spent.seconds < 1e9
    assert model.weight.item() == pytest.approx(1, abs=0.3)


def test_training_ends_with_its_time_after_one_update_at_least() -> None:
    model = Number()
    spent = descend(model, model.losses(), Budget(1e-9, tokens=math.inf), lambda: 0.0)
    assert spent.tokens == 10


def test_the_weights_that_are_best_by_validation_are_kept() -> None:
    model = Number()
    seen: list[tuple[float, float]] = []

    def validate() -> float:  # worse and worse after the third time
        seen.append((abs(len(seen) - 2), model.weight.item()))
        return seen[-1][0]

    descend(model, model.losses(), Budget(1e9, tokens=4000), validate)
    assert len(seen) == 8
    assert model.weight.item() == seen[2][1] != seen[-1][1]


def test_a_loss_that_is_no_number_is_told() -> None:
    model = Number()

    def lost() -> Iterator[tuple[Tensor, int]]:
        while True:
            yield model.weight * math.nan, 10

    with pytest.raises(TrainingError, match="never was a number"):
        descend(model, lost(), Budget(1e9, tokens=100), model.weight.item)


def test_every_token_but_openings_is_a_target_once_an_epoch(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(corpus, "test")
    size = 700
    counts = split.target_counts(size)
    model = NeuralLanguageModel(size, 2, 2, Window(2, 2), lambda features: ClassFactored(features, counts, 3), True)
    asked: list[Tensor] = []

    def loss(self: ClassFactored, hidden: Tensor, targets: Tensor) -> Tensor:
        asked.append(targets)
        return hidden.sum()

    monkeypatch.setattr(ClassFactored, "loss", loss)
    total = len(split.tokens) + len(split)
    taken = 0
    for _, count in window_losses(model, torch.from_numpy(token_stream(split)), seed=1):
        taken += count
        if taken >= total:
            break
    assert torch.cat(asked).bincount(minlength=size).tolist() == counts.tolist()
    assert counts[:END].sum() == 0


def test_a_recurrent_model_learns_from_a_corpus(corpus: Path) -> None:
    split = Split(corpus, "train")
    counts = split.target_counts(700)
    torch.manual_seed(1)
    model = RecurrentLanguageModel(700, 8, 16, lambda features: ClassFactored(features, counts, 10))
    losses = recurrent_losses(model, split, seed=1)

    # The same weights give the same loss on the same batch, so what is less after training has been learned.
    def loss() -> float:
        first, _ = next(recurrent_losses(model, split, seed=1))
        return first.item()

    before = loss()
    descend(model, losses, Budget(1e9, tokens=150_000), loss)
    assert loss() < 0.8 * before
