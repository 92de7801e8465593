import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.quality.transformer import transformer_scorer
from benchmarks.quality.transformer_fit import TransformerFit, TransformerOptions, train_transformer
from benchmarks.quality.windows import WindowBatches
from training.corpus import Split
from training.errors import TrainingError


def options(**changes: Any) -> TransformerOptions:
    small = {"width": 32, "layers": 1, "heads": 2, "feed_forward": 64, "context": 64, "negatives": 64, "warmup": 5}
    return TransformerOptions(**{**small, "batch_tokens": 600, **changes})


@pytest.mark.parametrize("negatives", [0, 64])
def test_the_loss_falls(train_split: Split, vocabulary_size: int, negatives: int) -> None:
    fit = TransformerFit(options(negatives=negatives, learning_rate=0.01), train_split, vocabulary_size)
    batches = itertools.islice(WindowBatches(train_split, 64, 600, 0.3, seed=1), 100)
    losses = [fit.update(inputs, targets, progress=0.0) for inputs, targets in batches]
    if not negatives:  # a sample's loss is an estimate
        assert losses[0] == pytest.approx(math.log(vocabulary_size), abs=0.5)  # at first it knows nothing
    assert sum(losses[-20:]) / 20 < 0.5 * losses[0]


def test_the_loss_is_that_of_the_tokens_that_count(train_split: Split, vocabulary_size: int) -> None:
    inputs, targets = torch.tensor([[3, 20, 21, 22], [4, 30, 0, 0]]), torch.tensor([[-1, -1, 22, 6], [30, 6, -1, -1]])
    fit = TransformerFit(options(negatives=0), train_split, vocabulary_size)
    score = transformer_scorer(fit.network)
    first = score(torch.tensor([[3, 20, 21, 22, 6]]), torch.tensor([5]))[0, 2:]
    second = score(torch.tensor([[4, 30, 6]]), torch.tensor([3]))[0]
    assert fit.update(inputs, targets, 0.0) == pytest.approx(-float(torch.cat([first, second]).mean()), rel=1e-5)


def test_the_learning_rate_rises_and_ends_at_zero(train_split: Split, vocabulary_size: int) -> None:
    fit = TransformerFit(options(warmup=3), train_split, vocabulary_size)
    shares = []
    for fit.updates, progress in enumerate([0.0, 0.0, 0.5, 0.5, 0.75, 1.0]):
        shares.append(fit.schedule(progress))
    assert shares == pytest.approx([0.25, 0.5, 0.375, 0.5, 0.25, 0.0])


def test_the_rate_of_an_update_is_the_schedule_s(train_split: Split, vocabulary_size: int) -> None:
    fit = TransformerFit(options(), train_split, vocabulary_size)
    before = [parameter.clone() for parameter in fit.network.parameters()]
    inputs, targets = next(iter(WindowBatches(train_split, 64, 600, 0.3, seed=1)))
    fit.update(inputs, targets, progress=1.0)
    assert all(torch.equal(old, new) for old, new in zip(before, fit.network.parameters(), strict=True))
    fit.update(inputs, targets, progress=0.0)
    assert not any(torch.equal(old, new) for old, new in zip(before, fit.network.parameters(), strict=True))


def test_a_loss_that_is_no_number_ends_in_advice(train_split: Split, vocabulary_size: int) -> None:
    fit = TransformerFit(options(learning_rate=1e30, warmup=0), train_split, vocabulary_size)
    batches = itertools.islice(WindowBatches(train_split, 64, 600, 0.3, seed=1), 10)
    with pytest.raises(TrainingError, match="lower --learning-rate"):
        list(itertools.starmap(lambda inputs, targets: fit.update(inputs, targets, 0.0), batches))


def test_training_takes_its_minutes(corpus: Path) -> None:
    trained = train_transformer(options(), corpus, minutes=0.01)
    assert trained.seconds >= 0.6
    assert trained.tokens > 0
    assert trained.options == options().model_dump()
