from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from training.quantization import LEVELS, MAGNITUDE, QuantizedLinear, quantize_table, quantize_weights


@pytest.mark.skipif("fbgemm" not in torch.backends.quantized.supported_engines, reason="FBGEMM is for x86 alone")
@pytest.mark.filterwarnings("ignore:.*torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_are_exact(sign: int) -> None:
    levels, linear = torch.full((3, 2096), sign * float(LEVELS)), QuantizedLinear(torch.ones(32, 2096), torch.zeros(32))
    linear.scale.copy_(torch.linspace(0.001, 2.0, 32).unsqueeze(0))
    expected = torch.full((3, 32), float(sign * 2096 * LEVELS * MAGNITUDE)) * linear.scale
    assert torch.equal(linear(levels), expected)
    linear.pack()
    assert torch.equal(linear(levels), expected)


def test_a_row_of_zeros_gives_the_bias() -> None:
    linear = QuantizedLinear(torch.randn(16, 64), torch.arange(16.0))
    assert torch.equal(linear(torch.zeros(1, 64)), linear.bias.unsqueeze(0))


def test_weights_are_the_nearest_of_their_row() -> None:
    torch.manual_seed(1)
    weights = torch.randn(5, 40) * torch.logspace(-3, 2, 5)[:, None]
    values, scale = quantize_weights(weights)
    assert torch.equal(values.abs().amax(dim=1), torch.full((5,), MAGNITUDE, dtype=torch.int8))
    assert torch.all((values * scale - weights).abs() <= 0.5001 * scale)


def test_a_table_is_of_levels_that_are_worth_the_same() -> None:
    torch.manual_seed(1)
    table = torch.randn(5, 40)
    levels, worth = quantize_table(table)
    assert levels.abs().max() == LEVELS
    assert (levels * worth - table).abs().max().item() <= 0.5001 * worth


@pytest.mark.parametrize("quantize", [quantize_weights, quantize_table])
def test_nothing_but_zeros_stays_so(quantize: Callable[[Tensor], tuple[Tensor, Any]]) -> None:
    values, _ = quantize(torch.zeros(3, 8))
    assert not values.any()
