"""The options that `python -m training compare` tries, one at a time: formula, source and what each changes."""

import shlex
from dataclasses import dataclass
from typing import Any

from training.optimizers import METHODS, OptimizerName

BASE: dict[str, Any] = {"embedding": 128, "hidden": 256, "warmup": 50}
"""The network that every variant changes: small, so that a short budget shows differences."""
EMBEDDINGS_FILE = "runs/compare/embeddings.npz"


@dataclass(frozen=True)
class Variant:
    """One row: `changes` are what it adds to `BASE`, by the names of `FitOptions`."""

    group: str
    name: str
    formula: str
    source: str
    changes: dict[str, Any]

    @property
    def arguments(self) -> str:
        return command_line(self.changes)


def command_line(options: dict[str, Any]) -> str:
    """Options as they are given to `python -m training train`."""
    words = []
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words.append(str(value))
    return shlex.join(words)


def _optimizer(name: OptimizerName, title: str = "", **changes: Any) -> Variant:
    method = METHODS[name]
    return Variant("Optimiser", title or method.title, method.formula, method.source, {"optimizer": name, **changes})


def _group(group: str, *rows: tuple[str, str, str, dict[str, Any]]) -> list[Variant]:
    return [Variant(group, *row) for row in rows]


ELMAN = "Elman 1990"
DROPPED = "x ← m ⊙ x / (1 - p), m ~ Bernoulli(1 - p)"
VARIANTS: list[Variant] = [
    *_group(
        "Base",
        ("LSTM with AdamW", METHODS["adamw"].formula, METHODS["adamw"].source, {}),
    ),
    _optimizer("sgd", "SGD on one sequence at a time", lanes=1),
    _optimizer("sgd", "mini-batch SGD"),
    *(_optimizer(name) for name in METHODS if name not in ("sgd", "adamw")),
    *_group(
        "Regularisation",
        ("L2", "loss + ½ λ ‖θ‖², through the optimiser", "Hoerl & Kennard 1970", {"l2": 1e-6}),
        ("weight decay", "θ ← θ - αλθ", "Loshchilov & Hutter 2019", {"weight_decay": 0.1}),
        ("input dropout", f"{DROPPED}, x the first layer's input", "Srivastava et al. 2014", {"dropout_input": 0.2}),
        (
            "hidden dropout",
            f"{DROPPED}, x between two layers",
            "Zaremba et al. 2014",
            {"dropout_hidden": 0.2, "layers": 2},
        ),
        ("output dropout", f"{DROPPED}, x the last layer's h", "Srivastava et al. 2014", {"dropout_output": 0.2}),
        (
            "variational dropout",
            f"{DROPPED}, one m for all times",
            "Gal & Ghahramani 2016",
            {"dropout": 0.2, "locked_dropout": True},
        ),
        (
            "embedding dropout",
            f"{DROPPED}, one m for each word of the vocabulary",
            "Gal & Ghahramani 2016",
            {"embedding_dropout": 0.1},
        ),
        ("weight drop", "W_hh ← M ⊙ W_hh / (1 - p)", "Wan et al. 2013; Merity et al. 2018", {"weight_drop": 0.2}),
    ),
    *_group(
        "Cell",
        ("GRU", "h ← (1 - z) ⊙ n + z ⊙ h", "Cho et al. 2014", {"cell": "gru"}),
        ("two LSTM layers", "x of layer 2 is h of layer 1", "Graves 2013", {"layers": 2}),
        ("Elman with tanh", "h ← tanh(a), a = W_ih x + b + W_hh h", ELMAN, {"cell": "elman"}),
        ("Elman with sigmoid", "h ← 1 / (1 + exp(-a))", ELMAN, {"cell": "elman", "activation": "sigmoid"}),
        ("Elman with arctan", "h ← arctan(a)", ELMAN, {"cell": "elman", "activation": "arctan"}),
        ("Elman with ReLU", "h ← max(0, a)", "Le, Jaitly & Hinton 2015", {"cell": "elman", "activation": "relu"}),
    ),
    *_group(
        "Gradient clipping",
        ("no clipping", "g", "", {"clip": 0}),
        ("clipping at 0.25", "g ← g · min(1, 0.25 / ‖g‖)", "Pascanu, Mikolov & Bengio 2013", {"clip": 0.25}),
    ),
    *_group(
        "BPTT length",
        ("8 steps", "∂/∂θ reaches 8 steps back, h all the way", "Williams & Peng 1990", {"steps": 8}),
        ("24 steps", "∂/∂θ reaches 24 steps back", "Williams & Peng 1990", {"steps": 24}),
        ("96 steps", "∂/∂θ reaches 96 steps back", "Williams & Peng 1990", {"steps": 96}),
    ),
    *_group(
        "Embeddings",
        ("random and frozen", "θ = θ₀ at input and output", "Press & Wolf 2017 (sharing)", {"freeze_embeddings": True}),
        (
            "pre-trained and fine-tuned",
            "θ₀ = U√S, USVᵀ ≈ positive pointwise mutual information",
            "Levy & Goldberg 2014",
            {"embeddings": EMBEDDINGS_FILE},
        ),
        (
            "pre-trained and frozen",
            "θ = θ₀ = U√S",
            "Levy & Goldberg 2014",
            {"embeddings": EMBEDDINGS_FILE, "freeze_embeddings": True},
        ),
    ),
    *_group(
        "Softmax",
        ("full softmax", "p(w) = exp(s_w) / Σ_v exp(s_v)", "Bridle 1990", {"negatives": 0}),
        (
            "sampled and then full softmax",
            "the last fifth of the run takes the full softmax",
            "after Jean et al. 2015",
            {"full_softmax_share": 0.2},
        ),
    ),
    *_group(
        "Recipe",
        (
            "running average of weights",
            "θ̄ ← dθ̄ + (1 - d)θ",
            "Polyak & Juditsky 1992",
            {"average": 0.99},
        ),
        ("rate that falls late", "α falls over the last quarter alone", "Hägele et al. 2024", {"decay": 0.25}),
        (
            "n-gram tables",
            "x ← x + A [u_bigram, v_trigram], the output likewise",
            "after Mikolov et al. 2011",
            {"ngrams": 16384},
        ),
        ("bfloat16", "products outside the recurrence in 16 bits", "Kalamkar et al. 2019", {"precision": "bfloat16"}),
    ),
]
