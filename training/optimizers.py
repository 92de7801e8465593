"""Optimisers by name: the formula of each, its source, and the learning rate that suits it here.

Notation: θ a weight, g its gradient after clipping, α the learning rate, t the number of the update; every operation
is element-wise, and every other letter starts at 0. The updates themselves are torch's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Muon, Optimizer, RMSprop

OptimizerName = Literal["sgd", "momentum", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "muon"]
DECOUPLED: tuple[OptimizerName, ...] = ("adamw", "muon")
"""The optimisers that take decoupled weight decay."""
BETAS = (0.9, 0.99)

Parameters = list[nn.Parameter]
Factory = Callable[[Parameters, float, float], Optimizer]
"""Takes the weights, the learning rate and the decoupled weight decay."""


@dataclass(frozen=True)
class Method:
    """An optimiser as it is written down, and as it is made."""

    title: str
    formula: str
    source: str
    learning_rate: float
    make: Factory


ADAM = "m ← β₁m + (1 - β₁)g; s ← β₂s + (1 - β₂)g²; θ ← θ - α m̂ / (√ŝ + ε), m̂ = m / (1 - β₁ᵗ), ŝ = s / (1 - β₂ᵗ)"
METHODS: dict[OptimizerName, Method] = {
    "sgd": Method(
        title="SGD",
        formula="θ ← θ - αg",
        source="Robbins & Monro 1951",
        learning_rate=2.0,
        make=lambda weights, rate, decay: SGD(weights, lr=rate, fused=True),
    ),
    "momentum": Method(
        title="SGD with momentum",
        formula="v ← μv + g; θ ← θ - αv; μ = 0.9",
        source="Polyak 1964",
        learning_rate=0.5,
        make=lambda weights, rate, decay: SGD(weights, lr=rate, momentum=0.9, fused=True),
    ),
    "adagrad": Method(
        title="AdaGrad",
        formula="s ← s + g²; θ ← θ - αg / (√s + ε)",
        source="Duchi, Hazan & Singer 2011",
        learning_rate=0.1,
        make=lambda weights, rate, decay: Adagrad(weights, lr=rate, fused=True),
    ),
    "rmsprop": Method(
        title="RMSprop",
        formula="s ← ρs + (1 - ρ)g²; θ ← θ - αg / (√s + ε); ρ = 0.99",
        source="Tieleman & Hinton 2012",
        learning_rate=3e-3,
        make=lambda weights, rate, decay: RMSprop(weights, lr=rate, alpha=0.99),
    ),
    "adadelta": Method(
        title="AdaDelta",
        formula="s ← ρs + (1 - ρ)g²; d = g √(u + ε) / √(s + ε); u ← ρu + (1 - ρ)d²; θ ← θ - αd; ρ = 0.9",
        source="Zeiler 2012",
        learning_rate=20.0,
        make=lambda weights, rate, decay: Adadelta(weights, lr=rate, rho=0.9),
    ),
    "adam": Method(
        title="Adam",
        formula=f"{ADAM}; β = (0.9, 0.99)",
        source="Kingma & Ba 2015",
        learning_rate=5e-3,
        make=lambda weights, rate, decay: Adam(weights, lr=rate, betas=BETAS, fused=True),
    ),
    "adamw": Method(
        title="AdamW",
        formula="θ ← θ - αλθ, then as Adam",
        source="Loshchilov & Hutter 2019",
        learning_rate=5e-3,
        make=lambda weights, rate, decay: AdamW(weights, lr=rate, betas=BETAS, weight_decay=decay, fused=True),
    ),
    "muon": Method(
        title="Muon",
        formula="m ← μm + (1 - μ)g; USVᵀ = (1 - μ)g + μm; θ ← θ - αλθ - 0.2 α √max(n, k) UVᵀ for a matrix θ [n, k], "
        "UVᵀ by 5 Newton–Schulz steps; μ = 0.95; AdamW for the embedding and all vectors",
        source="Jordan et al. 2024; its scale: Liu et al. 2025",
        learning_rate=1e-2,
        # This scale gives the update the size that AdamW's has, so that one learning rate serves both.
        make=lambda weights, rate, decay: Muon(weights, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
    ),
}


def suited_rate(options: dict[str, Any]) -> float:
    """The learning rate for the optimiser among `options`."""
    return METHODS[options["optimizer"]].learning_rate


def make_optimizers(
    name: OptimizerName, weights: Parameters, embedding: nn.Parameter, rate: float, weight_decay: float
) -> list[Optimizer]:
    """Makes what trains `weights`, the `embedding` among them: one optimiser, or with Muon also AdamW for the rest."""
    if name != "muon":
        return [METHODS[name].make(weights, rate, weight_decay)]
    matrices = [weight for weight in weights if weight.ndim == 2 and weight is not embedding]
    others = [weight for weight in weights if weight.ndim != 2 or weight is embedding]
    return [METHODS["muon"].make(matrices, rate, weight_decay), METHODS["adamw"].make(others, rate, weight_decay)]


def add_l2_gradient(weights: Parameters, strength: float) -> None:
    """Adds the gradient of ½ λ ‖θ‖² to that of the loss, for all matrices; biases may be as large as they need.

    Unlike decoupled weight decay it passes through the optimiser, so that an adaptive one divides it by the size of
    the gradients, too (Loshchilov & Hutter 2019).
    """
    for weight in weights:
        if weight.ndim == 2 and weight.grad is not None:
            weight.grad.add_(weight.detach(), alpha=strength)
