import torch
from torch import Tensor

from training.bptt import lstm_through_time
from training.cells import LSTMCell

STEPS, BATCH, HIDDEN = 5, 3, 2


def arguments() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gates, weights and state that ask for gradients, in double precision, and a `keep` with zeros."""
    torch.manual_seed(1)
    gates_x = torch.randn(STEPS, BATCH, 4 * HIDDEN, dtype=torch.double, requires_grad=True)
    weight_hh = torch.randn(4 * HIDDEN, HIDDEN, dtype=torch.double, requires_grad=True)
    state = torch.randn(BATCH, 2 * HIDDEN, dtype=torch.double, requires_grad=True)
    keep = torch.ones(STEPS, BATCH, dtype=torch.double)
    keep[0, 0] = keep[2, 1] = keep[STEPS - 1, 1] = 0
    return gates_x, weight_hh, state, keep


def unrolled(gates_x: Tensor, weight_hh: Tensor, state: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """The same by `LSTMCell.step` under automatic differentiation."""
    cell = LSTMCell(HIDDEN, HIDDEN)
    hidden = []
    for t in range(len(gates_x)):
        state = cell.step(gates_x[t], state * keep[t, :, None], weight_hh)
        hidden.append(state[:, :HIDDEN])
    return torch.stack(hidden), state


def test_gradients_agree_with_finite_differences() -> None:
    assert torch.autograd.gradcheck(lstm_through_time, arguments())


def test_the_gradient_through_the_last_state_alone_agrees_with_finite_differences() -> None:
    gates_x, weight_hh, state, keep = arguments()

    def last_state(gates_x: Tensor, weight_hh: Tensor, state: Tensor) -> Tensor:
        return lstm_through_time(gates_x, weight_hh, state, keep)[1]

    assert torch.autograd.gradcheck(last_state, (gates_x, weight_hh, state))


def test_agrees_with_automatic_differentiation_of_the_steps() -> None:
    by_hand, automatic = arguments(), arguments()
    hidden, last = lstm_through_time(*by_hand)
    expected_hidden, expected_last = unrolled(*automatic)
    torch.testing.assert_close(hidden, expected_hidden)
    torch.testing.assert_close(last, expected_last)
    weights, last_weights = torch.randn_like(hidden), torch.randn_like(last)
    ((hidden * weights).sum() + (last * last_weights).sum()).backward()
    ((expected_hidden * weights).sum() + (expected_last * last_weights).sum()).backward()
    for given, expected in zip(by_hand[:3], automatic[:3], strict=True):
        assert expected.grad is not None
        assert expected.grad.abs().sum() > 0
        torch.testing.assert_close(given.grad, expected.grad)


def test_no_gradient_crosses_a_forgotten_state() -> None:
    gates_x, weight_hh, state, keep = arguments()
    keep[2] = 0
    hidden, _ = lstm_through_time(gates_x, weight_hh, state, keep)
    hidden[2:].sum().backward()
    assert gates_x.grad is not None
    assert state.grad is not None
    assert torch.all(gates_x.grad[:2] == 0)
    assert torch.all(gates_x.grad[2:, :, :HIDDEN] != 0)
    assert torch.all(state.grad == 0)
