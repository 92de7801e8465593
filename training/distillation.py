"""Knowledge distillation: a network learns from the probabilities of larger ones, beside the words themselves.

    loss = -(1 - λ) log p(w) - λ Σ_v q(v) log p(v)

w is the word that came, p the network's probabilities, q the mean of its teachers'. A word says what came once; q says
what else could have come, and how likely it was, so that a small network learns more from each place of the training
reviews and less of it by heart. Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network"; of several
teachers, and of the words of a sentence: Kim & Rush 2016, "Sequence-Level Knowledge Distillation".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.checkpoint import load_network
from training.errors import TrainingError
from training.network import Network
from training.vocabulary import END


class Teachers:
    """Trained networks that read the same lanes as the network they teach, and remember where they are in them."""

    def __init__(self, checkpoints: Sequence[Path], vocabulary_size: int, lanes: int, device: torch.device) -> None:
        self.networks: list[Network] = []
        self.about: list[dict[str, Any]] = []
        """What each of them is and how long it was trained, for whoever is told of the network they teach."""
        for path in checkpoints:
            network, saved = load_network(path)
            if network.vocabulary_size != vocabulary_size:
                raise TrainingError(
                    f"{path} was trained on another vocabulary than this corpus holds; give that corpus."
                )
            self.networks.append(network.requires_grad_(False).to(device))
            parameters = sum(weight.numel() for weight in network.parameters())
            shape = {name: saved["options"][name] for name in ("cell", "layers", "embedding", "hidden")}
            self.about.append({**shape, "parameters": parameters, **saved["progress"]})
        self.states = [network.initial_state(lanes) for network in self.networks]

    @torch.no_grad()
    def probabilities(self, inputs: Tensor, counted: Tensor) -> Tensor:
        """Reads on, `inputs [T, B]`; returns the mean probabilities of the next token `[N, V]`.

        `counted [N]` are the places of the flattened inputs that are asked for.
        """
        total = self._read(0, inputs, counted)
        for place in range(1, len(self.networks)):
            total += self._read(place, inputs, counted)
        return total.div_(len(self.networks))

    def _read(self, place: int, inputs: Tensor, counted: Tensor) -> Tensor:
        network = self.networks[place]
        projected, self.states[place] = network(inputs, self.states[place])
        return network.log_probabilities(projected.flatten(0, 1).index_select(0, counted)).exp_()


def distilled_loss(
    hidden: Tensor, targets: Tensor, embedding: Tensor, bias: Tensor, taught: Tensor, share: float
) -> Tensor:
    """Mean loss in nats of `targets [N]` after `hidden [N, E]`, of which a `share` is by probabilities `taught [N, V]`.

    The softmax is the full one, of output weights `[V, E]` and bias `[V]`.
    """
    log_probabilities = functional.linear(hidden, embedding, bias).float().log_softmax(dim=1)
    by_words = functional.nll_loss(log_probabilities, targets)
    # Openings, which come first, are never predicted: nought times the logarithm of nought is none of the sum.
    by_teachers = -(taught[:, END:] * log_probabilities[:, END:]).sum(dim=1).mean()
    return torch.lerp(by_words, by_teachers, share)
