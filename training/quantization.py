"""Int8 weights and whole numbers for activations: a product that has the same bits on every processor.

Weights are -127 to 127, with one scale per output channel. Activations are levels, -64 to 64, whole numbers once they
are multiplied, and products add up exactly, in int32. Seven bits of an activation are what every processor multiplies
without overflow: where there is no VNNI, two products are added in 16 bits, and 2 × 128 × 127 fits.
"""

from typing import TYPE_CHECKING, Any, Final, Optional

import torch
from torch import Tensor, nn

MAGNITUDE = 127
"""The largest of an int8 weight."""
LEVELS = 64
"""The largest magnitude of an activation."""


def quantize_weights(values: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds `[N, K]` to int8; returns that and a scale per row, `[N, 1]`."""
    scale = values.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / MAGNITUDE
    return (values / scale).round().to(torch.int8), scale


def quantize_table(values: Tensor) -> tuple[Tensor, float]:
    """Rounds `[N, K]` to levels, of which one is worth the number that is returned, too."""
    worth = max(values.abs().max().item(), 1e-12) / LEVELS
    return (values / worth).round().to(torch.int8), worth


if TYPE_CHECKING:
    PackedWeight = Any
else:
    PackedWeight = torch.classes.quantized.LinearPackedParamsBase
    """An int8 weight, its scales and the bias, in the order in which FBGEMM reads them."""


class QuantizedLinear(nn.Module):
    """y = W x + b with int8 W `[N, K]` and a scale per row of W; x comes as levels."""

    levels: Final[int] = LEVELS
    weight: Tensor
    scale: Tensor
    bias: Tensor
    packed: Optional[PackedWeight]  # noqa: UP045 - TorchScript

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """`weight [N, K]` is of levels: of the network's weights times what a level of each of the K is worth."""
        super().__init__()
        values, scale = quantize_weights(weight.detach().float())
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale.t().contiguous())
        self.register_buffer("bias", bias.detach().float().clone())
        self.packed = None

    def forward(self, levels: Tensor) -> Tensor:
        """Takes float `[B, K]`, -64 to 64, which is rounded to whole numbers; returns float `[B, N]`."""
        packed = self.packed  # TorchScript knows of a local name alone that it is not None
        if packed is None:
            product = torch._int_mm(levels.round().to(torch.int8), self.weight.t())
            return torch.addcmul(self.bias, product.to(torch.float32), self.scale)  # rounded once, as FBGEMM does
        # FBGEMM takes numbers without a sign: it adds 64 to each, and takes that from the sums, which are integers.
        out: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            levels, 1.0, self.levels, packed
        )
        return out

    @torch.jit.export
    def pack(self) -> None:
        zeros = torch.zeros(self.weight.size(0), dtype=torch.int64)
        scale = self.scale.flatten().double()
        weight = torch._make_per_channel_quantized_tensor(self.weight, scale, zeros, 0)
        self.packed = torch.ops.quantized.linear_prepack(weight, self.bias)
