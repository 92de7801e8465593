import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.cells import ACTIVATIONS, ActivationName, Cell, CellName, ElmanCell, GRUCell, LSTMCell, make_cell

STEPS, BATCH, INPUT, HIDDEN = 11, 3, 5, 7


def torch_twin(cell: Cell) -> nn.RNNBase:
    """Returns torch's own network with the weights of `cell`."""
    twin: nn.RNNBase
    bias_hh = torch.zeros_like(cell.bias)
    if isinstance(cell, LSTMCell):
        twin = nn.LSTM(INPUT, HIDDEN)
    elif isinstance(cell, GRUCell):
        twin = nn.GRU(INPUT, HIDDEN)
        bias_hh[2 * HIDDEN :] = cell.candidate_bias
    else:
        assert isinstance(cell, ElmanCell)
        twin = nn.RNN(INPUT, HIDDEN, nonlinearity="relu" if cell.activation is torch.relu else "tanh")
    weights = {"weight_ih_l0": cell.weight_ih, "weight_hh_l0": cell.weight_hh, "bias_ih_l0": cell.bias}
    twin.load_state_dict({**weights, "bias_hh_l0": bias_hh})
    return twin


def random_cell(name: CellName, activation: ActivationName = "tanh") -> Cell:
    torch.manual_seed(1)
    cell = make_cell(name, INPUT, HIDDEN, activation)
    for parameter in cell.parameters():  # biases too, which start as constants
        nn.init.normal_(parameter, std=0.4)
    return cell


def all_kept() -> Tensor:
    return torch.ones(STEPS, BATCH)


CELLS: list[tuple[CellName, ActivationName]] = [
    ("lstm", "tanh"),
    ("gru", "tanh"),
    ("elman", "tanh"),
    ("elman", "relu"),
    ("elman", "sigmoid"),
    ("elman", "arctan"),
]


@pytest.mark.parametrize(("name", "activation"), CELLS[:4])
def test_agrees_with_torch_in_outputs_and_gradients(name: CellName, activation: ActivationName) -> None:
    cell = random_cell(name, activation)
    twin = torch_twin(cell)
    inputs = torch.randn(STEPS, BATCH, INPUT, requires_grad=True)
    state = torch.randn(BATCH, cell.state_size, requires_grad=True)
    outputs, last = cell(inputs, state, all_kept())
    twin_inputs, twin_state = inputs.detach().requires_grad_(), state.detach().requires_grad_()
    parts = tuple(part[None].contiguous() for part in twin_state.chunk(cell.states, dim=1))
    twin_outputs, twin_last = twin(twin_inputs, parts if cell.states == 2 else parts[0])
    torch.testing.assert_close(outputs, twin_outputs)
    torch.testing.assert_close(last, torch.cat(twin_last, dim=2)[0] if cell.states == 2 else twin_last[0])

    weights = torch.randn(STEPS, BATCH, HIDDEN)
    (outputs * weights).sum().backward()
    (twin_outputs * weights).sum().backward()
    torch.testing.assert_close(inputs.grad, twin_inputs.grad)
    torch.testing.assert_close(state.grad, twin_state.grad)
    gradients: dict[str, Any] = {name: value.grad for name, value in twin.named_parameters()}
    torch.testing.assert_close(cell.weight_ih.grad, gradients["weight_ih_l0"])
    torch.testing.assert_close(cell.weight_hh.grad, gradients["weight_hh_l0"])
    torch.testing.assert_close(cell.bias.grad, gradients["bias_ih_l0"])
    if isinstance(cell, GRUCell):
        torch.testing.assert_close(cell.candidate_bias.grad, gradients["bias_hh_l0"][2 * HIDDEN :])


EQUATIONS: dict[ActivationName, Callable[[float], float]] = {
    "tanh": lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x)),
    "relu": lambda x: max(0.0, x),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "arctan": math.atan,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_elman_agrees_with_its_equation(activation: ActivationName) -> None:
    cell = make_cell("elman", 1, 1, activation)
    weights = {"weight_ih": torch.tensor([[0.5]]), "weight_hh": torch.tensor([[-0.8]]), "bias": torch.tensor([0.1])}
    cell.load_state_dict(weights)
    outputs, last = cell(torch.tensor([[[2.0]], [[1.0]]]), torch.tensor([[0.25]]), torch.ones(2, 1))
    first = EQUATIONS[activation](0.5 * 2.0 + 0.1 - 0.8 * 0.25)
    second = EQUATIONS[activation](0.5 * 1.0 + 0.1 - 0.8 * first)
    assert outputs.flatten().tolist() == [pytest.approx(first, abs=1e-6), pytest.approx(second, abs=1e-6)]
    assert torch.equal(last, outputs[1])


def test_the_gradient_of_arctan_through_time_agrees_with_the_chain_rule() -> None:
    cell = make_cell("elman", 1, 1, "arctan")
    cell.load_state_dict({"weight_ih": torch.ones(1, 1), "weight_hh": torch.tensor([[2.0]]), "bias": torch.zeros(1)})
    inputs = torch.tensor([[[0.5]], [[-1.0]]], requires_grad=True)
    outputs, _ = cell(inputs, torch.zeros(1, 1), torch.ones(2, 1))
    outputs[1].sum().backward()
    last = 1 / (1 + (-1.0 + 2 * math.atan(0.5)) ** 2)
    assert inputs.grad is not None
    assert inputs.grad.flatten().tolist() == [pytest.approx(last * 2 / (1 + 0.5**2)), pytest.approx(last)]


@pytest.mark.parametrize(("name", "activation"), CELLS)
def test_a_step_is_what_the_whole_run_does_at_each_time(name: CellName, activation: ActivationName) -> None:
    cell = random_cell(name, activation)
    inputs, state = torch.randn(STEPS, BATCH, INPUT), torch.randn(BATCH, cell.state_size)
    outputs, last = cell(inputs, state, all_kept())
    for t in range(STEPS):
        state = cell.step(nn.functional.linear(inputs[t], cell.weight_ih, cell.bias), state, cell.weight_hh)
        torch.testing.assert_close(outputs[t], state[:, :HIDDEN])
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize(("name", "activation"), CELLS)
def test_forgetting_is_starting_afresh(name: CellName, activation: ActivationName) -> None:
    cell = random_cell(name, activation)
    inputs, state = torch.randn(STEPS, BATCH, INPUT), torch.randn(BATCH, cell.state_size)
    keep = all_kept()
    keep[4, 1] = 0
    outputs, last = cell(inputs, state, keep)
    undisturbed, undisturbed_last = cell(inputs, state, all_kept())
    afresh, afresh_last = cell(inputs[4:], torch.zeros_like(state), keep[4:])
    torch.testing.assert_close(outputs[4:, 1], afresh[:, 1])
    torch.testing.assert_close(last[1], afresh_last[1])
    torch.testing.assert_close(outputs[:, [0, 2]], undisturbed[:, [0, 2]])
    torch.testing.assert_close(last[[0, 2]], undisturbed_last[[0, 2]])
    assert not torch.allclose(outputs[4, 1], undisturbed[4, 1])


def test_the_forget_gate_starts_open() -> None:
    cell = make_cell("lstm", INPUT, HIDDEN)
    assert cell.bias.tolist() == [0.0] * HIDDEN + [1.0] * HIDDEN + [0.0] * 2 * HIDDEN
