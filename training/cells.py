"""Recurrent cells, written from their equations.

Notation: x is the input at time t, `[B, E]`; h the hidden state, `[B, H]`; σ the logistic function; ⊙ the element-wise
product. Every cell first computes what the input adds to its gates for all times at once (one large matrix product),
so that a step is left with the recurrent product only. Gate order and parameter names follow `torch.nn`.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from training.bptt import lstm_through_time

CellName = Literal["lstm", "gru", "elman"]
ActivationName = Literal["tanh", "relu", "sigmoid", "arctan"]
ACTIVATIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "arctan": torch.atan,
}


class Cell(nn.Module):
    """What all cells share: `weight_ih [G·H, E]`, `weight_hh [G·H, H]`, `bias [G·H]`, where G is the number of gates.

    A cell's state is one row of `state_size` floats, `[B, S]`, whatever is in it; its first H numbers are h.
    """

    gates: int
    states: int = 1
    weight_drop: float = 0.0
    """Share of `weight_hh` that is dropped in training, anew for each call and the same at all its times (DropConnect:
    Wan et al. 2013; on recurrent weights: Merity et al. 2018)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.state_size = self.states * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(self.gates * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(self.gates * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(self.gates * hidden_size))
        for gate in range(self.gates):  # each gate on its own, so that the scale fits its own fan-in
            rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
            nn.init.xavier_uniform_(self.weight_ih.data[rows])
            nn.init.orthogonal_(self.weight_hh.data[rows])

    def step(self, gates_x: Tensor, state: Tensor, weight_hh: Tensor) -> Tensor:
        """Takes W_ih x + b, `[B, G·H]`, the state before, `[B, S]`, and W_hh; returns the state after."""
        raise NotImplementedError

    def recurrent_weight(self) -> Tensor:
        return nn.functional.dropout(self.weight_hh, self.weight_drop, self.training)

    def forward(self, inputs: Tensor, state: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Runs over `inputs [T, B, E]` from `state [B, S]`; returns all hidden states `[T, B, H]` and the last state.

        Where `keep [T, B]` is 0 the state is forgotten before that step, as at the opening of a review.
        """
        gates_x, weight_hh = nn.functional.linear(inputs, self.weight_ih, self.bias), self.recurrent_weight()
        hidden = []
        for t in range(len(inputs)):
            state = self.step(gates_x[t], state * keep[t, :, None], weight_hh)
            hidden.append(state[:, : self.hidden_size])
        return torch.stack(hidden), state


class ElmanCell(Cell):
    """h ← f(W_ih x + b + W_hh h), f one of tanh, ReLU, sigmoid, arctan.

    Elman 1990, "Finding Structure in Time"; as a language model Mikolov et al. 2010.
    """

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, activation: ActivationName = "tanh") -> None:
        super().__init__(input_size, hidden_size)
        self.activation = ACTIVATIONS[activation]

    def step(self, gates_x: Tensor, state: Tensor, weight_hh: Tensor) -> Tensor:
        return self.activation(gates_x + nn.functional.linear(state, weight_hh))


class GRUCell(Cell):
    """Reset gate r, update gate z, candidate n, `[r, z, n]` in this order:

    r = σ(W_ir x + b_r + W_hr h)    z = σ(W_iz x + b_z + W_hz h)
    n = tanh(W_in x + b_n + r ⊙ (W_hn h + c))
    h ← (1 - z) ⊙ n + z ⊙ h

    Cho et al. 2014, "Learning Phrase Representations using RNN Encoder–Decoder", with the reset gate applied after the
    product as in cuDNN and `torch.nn.GRU`; c is that variant's second bias.
    """

    gates = 3

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.candidate_bias = nn.Parameter(torch.zeros(hidden_size))

    def step(self, gates_x: Tensor, state: Tensor, weight_hh: Tensor) -> Tensor:
        reset_x, update_x, candidate_x = gates_x.chunk(3, dim=-1)
        reset_h, update_h, candidate_h = nn.functional.linear(state, weight_hh).chunk(3, dim=-1)
        reset, update = torch.sigmoid(reset_x + reset_h), torch.sigmoid(update_x + update_h)
        candidate = torch.tanh(candidate_x + reset * (candidate_h + self.candidate_bias))
        return (1 - update) * candidate + update * state


class LSTMCell(Cell):
    """Input gate i, forget gate f, candidate g, output gate o, `[i, f, g, o]` in this order; the state is `[h, c]`:

    i = σ(W_ii x + b_i + W_hi h)    f = σ(W_if x + b_f + W_hf h)
    g = tanh(W_ig x + b_g + W_hg h) o = σ(W_io x + b_o + W_ho h)
    c ← f ⊙ c + i ⊙ g
    h ← o ⊙ tanh(c)

    Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; forget gate: Gers, Schmidhuber & Cummins 2000, with its
    bias started at 1 as Jozefowicz et al. 2015 advise.
    """

    gates = 4
    states = 2

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.bias.data[hidden_size : 2 * hidden_size] = 1.0

    def step(self, gates_x: Tensor, state: Tensor, weight_hh: Tensor) -> Tensor:
        hidden, memory = state.chunk(2, dim=-1)
        i, f, g, o = (gates_x + nn.functional.linear(hidden, weight_hh)).chunk(4, dim=-1)
        memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        return torch.cat([torch.sigmoid(o) * torch.tanh(memory), memory], dim=-1)

    def forward(self, inputs: Tensor, state: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        gates_x = nn.functional.linear(inputs, self.weight_ih, self.bias)
        with torch.autocast(inputs.device.type, enabled=False):  # the recurrence keeps its weights' precision
            return lstm_through_time(gates_x.to(self.weight_hh.dtype), self.recurrent_weight(), state, keep)


def make_cell(
    name: CellName, input_size: int, hidden_size: int, activation: ActivationName = "tanh", weight_drop: float = 0.0
) -> Cell:
    cell: Cell
    if name == "elman":
        cell = ElmanCell(input_size, hidden_size, activation)
    else:
        cell = {"lstm": LSTMCell, "gru": GRUCell}[name](input_size, hidden_size)
    cell.weight_drop = weight_drop
    return cell
