import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from tests.training.test_fit import options, train
from training.fit import Fit
from training.optimizers import METHODS, OptimizerName, add_l2_gradient, make_optimizers

RATE = 0.1
FIRST, SECOND = 0.5, -0.25
"""Gradients of the two updates that are computed by hand."""


def stepped(name: OptimizerName, weight: Tensor, gradients: list[Tensor], weight_decay: float = 0.0) -> Tensor:
    """A weight after one update for each gradient."""
    parameter = nn.Parameter(weight.clone())
    embedding = nn.Parameter(torch.zeros(1))
    optimizer = make_optimizers(name, [parameter, embedding], embedding, RATE, weight_decay)[0]
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
    return parameter.detach()


ADAM_STEPS = [
    # m = 0.1 · 0.5 and s = 0.01 · 0.25, each without its bias 0.1 and 0.01: the step is a whole learning rate.
    RATE * 0.5 / 0.5,
    RATE * ((0.9 * 0.05 - 0.1 * 0.25) / 0.19) / math.sqrt((0.99 * 0.0025 + 0.01 * 0.0625) / 0.0199),
]
BY_HAND: dict[str, list[float]] = {
    "sgd": [RATE * 0.5, RATE * -0.25],
    "momentum": [RATE * 0.5, RATE * (0.9 * 0.5 - 0.25)],
    "adagrad": [RATE * 0.5 / math.sqrt(0.25), RATE * -0.25 / math.sqrt(0.25 + 0.0625)],
    "rmsprop": [RATE * 0.5 / math.sqrt(0.0025), RATE * -0.25 / math.sqrt(0.99 * 0.0025 + 0.01 * 0.0625)],
    "adam": ADAM_STEPS,
    "adamw": ADAM_STEPS,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_two_updates_agree_with_the_formula(name: OptimizerName) -> None:
    weight = stepped(name, torch.tensor([1.0]), [torch.tensor([FIRST]), torch.tensor([SECOND])])
    assert weight.item() == pytest.approx(1.0 - sum(BY_HAND[name]), abs=1e-6)


def test_two_updates_of_adadelta_agree_with_the_formula() -> None:
    squares = steps = total = 0.0
    for gradient in (FIRST, SECOND):
        squares = 0.9 * squares + 0.1 * gradient**2
        step = gradient * math.sqrt(steps + 1e-6) / math.sqrt(squares + 1e-6)
        steps = 0.9 * steps + 0.1 * step**2
        total += RATE * step
    weight = stepped("adadelta", torch.tensor([1.0]), [torch.tensor([FIRST]), torch.tensor([SECOND])])
    assert weight.item() == pytest.approx(1.0 - total, abs=1e-7)
    assert total > 1e-5


def test_an_update_of_muon_agrees_with_the_formula() -> None:
    torch.manual_seed(1)
    left, right = torch.linalg.qr(torch.randn(6, 6)).Q, torch.linalg.qr(torch.randn(3, 3)).Q
    gradient = left[:, :3] @ torch.diag(torch.tensor([3.0, 1.0, 0.4])) @ right.T
    step = torch.zeros(6, 3) - stepped("muon", torch.zeros(6, 3), [gradient])
    # Newton–Schulz in bfloat16 stops near 1 (0.7 to 1.2); what must not survive is the gradient's own 3 : 1 : 0.4.
    singular = (left[:, :3].T @ step @ right) / (RATE * 0.2 * math.sqrt(6))
    torch.testing.assert_close(singular, torch.eye(3), rtol=0.0, atol=0.35)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_decoupled_weight_decay_is_a_share_of_the_learning_rate(name: OptimizerName) -> None:
    weight, gradient = torch.randn(4, 4), torch.randn(4, 4)
    difference = stepped(name, weight, [gradient]) - stepped(name, weight, [gradient], weight_decay=0.3)
    torch.testing.assert_close(difference, RATE * 0.3 * weight)


def test_muon_leaves_the_embedding_and_the_vectors_to_adamw() -> None:
    embedding, matrix, vector = (nn.Parameter(torch.ones(shape)) for shape in ((5, 4), (3, 4), (3,)))
    muon, adamw = make_optimizers("muon", [embedding, matrix, vector], embedding, RATE, 0.0)
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    assert [id(weight) for weight in muon.param_groups[0]["params"]] == [id(matrix)]
    assert [id(weight) for weight in adamw.param_groups[0]["params"]] == [id(embedding), id(vector)]


def test_l2_adds_the_gradient_of_its_penalty_to_matrices_alone() -> None:
    matrix, bias, idle = nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2))
    inputs = torch.randn(4, 2)

    def loss() -> Tensor:
        return (inputs @ matrix + bias).tanh().sum()

    (loss() + 0.5 * 0.3 * (matrix**2).sum()).backward()
    assert matrix.grad is not None
    assert bias.grad is not None
    expected, of_bias = matrix.grad.clone(), bias.grad.clone()
    matrix.grad = bias.grad = None
    loss().backward()
    add_l2_gradient([matrix, bias, idle], 0.3)
    torch.testing.assert_close(matrix.grad, expected)
    torch.testing.assert_close(bias.grad, of_bias)
    assert idle.grad is None


def change_of_weights(corpus: Path, **changes: Any) -> Tensor:
    """What one update of SGD adds to the recurrent weights, in multiples of the learning rate."""
    run = Fit(options(optimizer="sgd", learning_rate=0.5, warmup=0, **changes), corpus)
    before = run.network.cells[0].get_parameter("weight_hh").detach().clone()
    train(run, 1)
    return (run.network.cells[0].get_parameter("weight_hh").detach() - before) / 0.5


def test_a_run_adds_the_l2_gradient(corpus: Path) -> None:
    initial = Fit(options(), corpus).network.cells[0].get_parameter("weight_hh").detach()
    difference = change_of_weights(corpus, clip=0, l2=0.3) - change_of_weights(corpus, clip=0)
    torch.testing.assert_close(difference, -0.3 * initial, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_scaled_down_to_the_clip_unless_that_is_nought(corpus: Path) -> None:
    whole, large, small = (change_of_weights(corpus, clip=clip) for clip in (0, 100, 0.001))
    torch.testing.assert_close(whole, large)
    share = (small * whole).sum() / (whole * whole).sum()
    assert share < 0.1
    torch.testing.assert_close(small, share * whole, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_falls_with_each(corpus: Path, name: OptimizerName) -> None:
    run = Fit(options(epochs=100, optimizer=name, cell="elman"), corpus)
    losses = train(run, 60)
    assert run.options.learning_rate == METHODS[name].learning_rate
    assert sum(losses[-10:]) / 10 < 0.9 * losses[0]


@pytest.mark.parametrize("name", ["momentum", "muon"])
def test_a_run_with_another_optimizer_resumes_to_the_bit(corpus: Path, tmp_path: Path, name: OptimizerName) -> None:
    unbroken = Fit(options(optimizer=name, ngrams=20, ngram_size=4), corpus)
    expected = train(unbroken, 6)
    broken = Fit(options(optimizer=name, ngrams=20, ngram_size=4), corpus)
    before = train(broken, 3)
    broken.save(tmp_path / "checkpoint.pt")
    assert before + train(Fit.load(tmp_path / "checkpoint.pt", corpus), 3) == expected


def test_weight_decay_is_refused_where_it_is_not_decoupled() -> None:
    with pytest.raises(ValidationError, match="give --l2 to the other optimizers"):
        options(optimizer="rmsprop", weight_decay=0.1)
    assert options(optimizer="muon", weight_decay=0.1).weight_decay == 0.1
