"""What a network learned by heart, put right on reviews that it has not seen.

A network that has read its training reviews more than once trusts what it saw there too much: its probabilities are too
sharp (Guo et al. 2017, "On Calibration of Modern Neural Networks"), and above all the rows of its n-gram tables, most
of which a handful of places in the training reviews have formed. One number for each of these, fitted on validation
reviews, takes that back: a temperature, and a scale for each table. They are multiplied into the weights, so nothing of
it is left to do when the network is served.
"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from training.evaluate import Measurable, evaluate, network_scorer
from training.network import Network

LOWEST, HIGHEST = 0.5, 1.5
"""Between these the best number is looked for."""
TOLERANCE = 0.02
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Calibration:
    """`temperature` divides the logits; `pairs` and `triples` multiply the vectors of those n-grams."""

    temperature: float = 1.0
    pairs: float = 1.0
    triples: float = 1.0


def calibrate(network: Network, reviews: Sequence[Measurable]) -> Calibration:
    """Finds the numbers under which `reviews` are most probable, one number after the other."""
    found = Calibration()
    for name in ("temperature",) if network.ngrams is None else ("pairs", "triples", "temperature"):

        def bits(value: float, name: str = name, before: Calibration = found) -> float:
            candidate = calibrated(network, dataclasses.replace(before, **{name: value}))
            return evaluate(network_scorer(candidate), reviews).bits_per_character

        found = dataclasses.replace(found, **{name: round(least(bits), 3)})
    return found


@torch.no_grad()
def calibrated(network: Network, calibration: Calibration) -> Network:
    """A copy of the network with the numbers multiplied into its weights."""
    network = copy.deepcopy(network)
    outputs = [network.projection.weight, network.projection.bias, network.bias]
    if network.ngrams is not None:
        for table, scale in zip(network.ngrams.tables, (calibration.pairs, calibration.triples), strict=True):
            table.mul_(scale)
        outputs.append(network.ngrams_out.weight)
    for weight in outputs:
        weight.div_(calibration.temperature)
    return network


def least(function: Callable[[float], float]) -> float:
    """Where a function with one minimum between LOWEST and HIGHEST has it (golden-section search, Kiefer 1953)."""
    low, high = LOWEST, HIGHEST
    inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    values = [function(place) for place in inner]
    while high - low > TOLERANCE:
        if values[0] < values[1]:
            high = inner[1]
            inner = [high - GOLDEN * (high - low), inner[0]]
            values = [function(inner[0]), values[0]]
        else:
            low = inner[0]
            inner = [inner[1], low + GOLDEN * (high - low)]
            values = [values[1], function(inner[1])]
    return (low + high) / 2
