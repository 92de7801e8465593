"""One step of each cell of `cells.py`, as it is served.

A cell takes its inputs as levels (`quantization.py`), h as levels and, if it has one, c in its own units; it returns h
and c after. Its weights are multiplied by what a level of each is worth.
"""

from typing import Final

import torch
from torch import Tensor, nn

from training.cells import ElmanCell, GRUCell, LSTMCell
from training.quantization import LEVELS, QuantizedLinear


class QuantizedElman(nn.Module):
    """One step of `cells.ElmanCell`."""

    largest: Final[int] = LEVELS

    def __init__(self, cell: ElmanCell, activation: str, weight_ih: Tensor, worth: float) -> None:
        super().__init__()
        self.activation = activation
        self.linear = QuantizedLinear(torch.cat([weight_ih, cell.weight_hh * worth], dim=1), cell.bias)
        self.levels = 1 / worth

    def forward(self, inputs: list[Tensor], hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        total = self.linear(torch.cat(inputs + [hidden], dim=1))  # noqa: RUF005 - TorchScript
        if self.activation == "relu":
            after = torch.relu(total)
        elif self.activation == "sigmoid":
            after = torch.sigmoid(total)
        elif self.activation == "arctan":
            after = torch.atan(total)
        else:
            after = torch.tanh(total)
        return after.mul_(self.levels).clamp_(max=float(self.largest)), memory

    @torch.jit.export
    def pack(self) -> None:
        self.linear.pack()


class QuantizedGRU(nn.Module):
    """One step of `cells.GRUCell`."""

    def __init__(self, cell: GRUCell, weight_ih: Tensor, worth: float) -> None:
        super().__init__()
        self.size = cell.hidden_size
        bias = torch.zeros_like(cell.bias)
        bias[2 * self.size :] = cell.candidate_bias
        self.by_input = QuantizedLinear(weight_ih, cell.bias)
        self.by_hidden = QuantizedLinear(cell.weight_hh * worth, bias)
        self.levels = 1 / worth

    def forward(self, inputs: list[Tensor], hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        from_input, from_hidden = self.by_input(torch.cat(inputs, dim=1).to(torch.float32)), self.by_hidden(hidden)
        gates = torch.sigmoid(from_input[:, : 2 * self.size] + from_hidden[:, : 2 * self.size])
        reset, update = gates[:, : self.size], gates[:, self.size :]
        candidate = torch.tanh(from_input[:, 2 * self.size :] + reset * from_hidden[:, 2 * self.size :])
        return (1 - update) * candidate.mul_(self.levels) + update * hidden, memory

    @torch.jit.export
    def pack(self) -> None:
        self.by_input.pack()
        self.by_hidden.pack()


class QuantizedLSTM(nn.Module):
    """One step of `cells.LSTMCell`; h comes and goes as levels, c in its own units."""

    def __init__(self, cell: LSTMCell, weight_ih: Tensor, worth: float) -> None:
        super().__init__()
        weight, bias = torch.cat([weight_ih, cell.weight_hh * worth], dim=1), cell.bias.clone()
        # tanh(x) = 2 σ(2x) - 1, so that one operation squashes all gates.
        candidate = slice(2 * cell.hidden_size, 3 * cell.hidden_size)
        weight[candidate] *= 2
        bias[candidate] *= 2
        self.linear = QuantizedLinear(weight, bias)
        self.levels = 1 / worth

    def forward(self, inputs: list[Tensor], hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.linear(torch.cat(inputs + [hidden], dim=1)).sigmoid_()  # noqa: RUF005 - TorchScript
        i, f, g, o = gates.chunk(4, dim=1)
        after = (f * memory).sub_(i).addcmul_(i, g, value=2.0)  # f c + i (2g - 1)
        return torch.tanh(after).mul_(o).mul_(self.levels), after

    @torch.jit.export
    def pack(self) -> None:
        self.linear.pack()


def quantized_cell(cell: nn.Module, activation: str, weight_ih: Tensor, worth: float) -> nn.Module:
    """`weight_ih` is of what the inputs' levels are worth, `worth` that of a level of h."""
    if isinstance(cell, LSTMCell):
        return QuantizedLSTM(cell, weight_ih, worth)
    if isinstance(cell, GRUCell):
        return QuantizedGRU(cell, weight_ih, worth)
    assert isinstance(cell, ElmanCell)
    return QuantizedElman(cell, activation, weight_ih, worth)
