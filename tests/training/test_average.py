from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.test_fit import options, train
from training.average import WeightAverage
from training.checkpoint import load_network
from training.evaluate import evaluate, measurable_split, network_scorer
from training.fit import Fit


def test_the_average_follows_its_formula() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    average = WeightAverage([weight], decay=0.25)
    expected = 1.0
    for update, value, decay in ((1, 3.0, 2 / 11), (2, -1.0, 0.25), (3, 5.0, 0.25)):
        weight.data.fill_(value)
        average.update(update)
        expected = decay * expected + (1 - decay) * value
        assert average.averages[0].item() == pytest.approx(expected)


def test_the_average_takes_the_weights_place_for_a_while() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    average = WeightAverage([weight], decay=0.5)
    weight.data.fill_(3.0)
    with average.applied():
        assert weight.item() == 1.0
    assert weight.item() == 3.0
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert weight.item() == 3.0


CHANGES = {"average": 0.8, "ngrams": 20, "ngram_size": 4, "dropout": 0.1}


def test_the_average_is_validated_saved_and_loaded(corpus: Path, tmp_path: Path) -> None:
    run = Fit(options(**CHANGES), corpus)
    names = [name for name, _ in run.network.named_parameters() if "tables" not in name]
    expected = {name: value.clone() for name, value in run.network.state_dict().items()}
    for update in range(1, 13):
        train(run, 1)
        decay = min(0.8, (1 + update) / (10 + update))
        for name in names:
            expected[name].lerp_(run.network.state_dict()[name], 1 - decay)
    for name in set(expected) - set(names):
        expected[name] = run.network.state_dict()[name].clone()
    run.save(tmp_path / "checkpoint.pt")
    network, _ = load_network(tmp_path / "checkpoint.pt")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, expected[name])
        assert torch.equal(value, run.network.state_dict()[name]) == (name not in names)
    measured = evaluate(network_scorer(network), measurable_split(run.valid_split, run.tokenizer))
    assert run.validate(70).bits_per_character == pytest.approx(measured.bits_per_character)


def test_a_run_with_an_average_resumes_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    unbroken = Fit(options(**CHANGES), corpus)
    expected = train(unbroken, 8)
    broken = Fit(options(**CHANGES), corpus)
    before = train(broken, 4)
    broken.save(tmp_path / "checkpoint.pt")
    resumed = Fit.load(tmp_path / "checkpoint.pt", corpus)
    assert before + train(resumed, 4) == expected
    assert resumed.average is not None
    assert unbroken.average is not None
    for one, other in zip(resumed.average.averages, unbroken.average.averages, strict=True):
        assert torch.equal(one, other)
