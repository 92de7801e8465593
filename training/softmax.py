"""The training loss: full softmax, or one over a sample of the vocabulary that costs a tenth."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Takes hidden states, targets, output weights and bias, as `SampledSoftmax` does; returns the mean loss in nats."""


class SampledSoftmax:
    """Cross entropy whose normaliser is estimated from the batch's own targets and shared negatives.

    Z = Σ_w exp(s_w) over the vocabulary is estimated by Σ_{w in sample} exp(s_w) / P(w in sample), with the target's
    own term exact. Frequent words are nearly always in the sample, so that only the tail is estimated. After Bengio &
    Senécal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language Model", and
    Jean et al. 2015, "On Using Very Large Target Vocabulary for Neural Machine Translation".
    """

    def __init__(self, counts: Tensor, negatives: int, seed: int) -> None:
        """`counts [V]`: how often each token is a target in the training data; `negatives` are drawn for each batch."""
        self.negatives = negatives
        # Drawn by plain frequency, which the batch's own targets follow too, so that they count as part of the sample.
        smoothed = counts.double() + 1  # no word is beyond reach
        self._share = smoothed / smoothed.sum()
        self._cumulative = self._share.cumsum(0)
        self._generator = torch.Generator(device=counts.device).manual_seed(seed)

    def __call__(self, hidden: Tensor, targets: Tensor, embedding: Tensor, bias: Tensor) -> Tensor:
        """Mean loss in nats of `targets [N]` after `hidden [N, E]`, for output weights `[V, E]` and bias `[V]`."""
        draws = torch.rand(self.negatives, generator=self._generator, device=targets.device, dtype=torch.double)
        drawn = torch.searchsorted(self._cumulative, draws).clamp_(max=len(bias) - 1)
        sample, position = torch.unique(torch.cat([targets, drawn]), return_inverse=True)
        position = position[: len(targets)]
        draws_made = len(targets) - 1 + self.negatives
        log_inclusion = torch.log1p(-((1 - self._share[sample]) ** draws_made)).float()
        scores = functional.linear(
            hidden, embedding.index_select(0, sample), bias.index_select(0, sample) - log_inclusion
        )
        scores = scores.scatter_add_(1, position[:, None], log_inclusion[position][:, None].to(scores.dtype))
        return functional.cross_entropy(scores.float(), position)

    def state_dict(self) -> dict[str, Tensor]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._generator.set_state(state["generator"].cpu())


def full_softmax(hidden: Tensor, targets: Tensor, embedding: Tensor, bias: Tensor) -> Tensor:
    """Mean loss in nats over the whole vocabulary; arguments as of `SampledSoftmax`."""
    return functional.cross_entropy(functional.linear(hidden, embedding, bias).float(), targets)
