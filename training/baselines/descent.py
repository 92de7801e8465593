"""Gradient descent within a budget: what trains the neural models of the lecture, all in the same way.

AdamW, whose learning rate rises over the first updates and falls to zero with the budget. A model that is trained long
on little text learns that by heart, so the weights that are kept are the best by validation (early stopping).
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.baselines.neural import NeuralLanguageModel, contexts_before
from training.baselines.recurrent import RecurrentLanguageModel
from training.corpus import ReviewStreams, Split
from training.errors import TrainingError
from training.vocabulary import END

LEARNING_RATE = 4e-3
WARM = 100
"""Updates over which the learning rate rises."""
CLIP = 1.0
VALIDATIONS = 8
BATCH = 2048
"""Windows in an update of the neural model, and LANES × STEPS in one of the recurrent model."""
LANES, STEPS = 64, 32

Losses = Iterator[tuple[Tensor, int]]
"""Endless: the mean loss of each update, and how many tokens it is the mean of."""


@dataclass(frozen=True)
class Budget:
    """Where training ends: by processor time, or after so many `tokens`, whatever comes first."""

    seconds: float
    tokens: float


@dataclass(frozen=True)
class Spent:
    """Processor time and tokens that training took; measuring on validation reviews not counted."""

    seconds: float
    tokens: int


def descend(model: nn.Module, losses: Losses, budget: Budget, validate: Callable[[], float]) -> Spent:
    """Trains until the budget is spent, at least one update; leaves the weights for which `validate` was least."""
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    seconds, tokens, validated, best = 0.0, 0, 0, (float("inf"), model.state_dict())
    progress = 0.0
    for update in range(10**9):
        started = time.process_time()
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * min((update + 1) / WARM, 1 - progress)
        loss, count = next(losses)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        tokens += count
        seconds += time.process_time() - started
        progress = max(seconds / budget.seconds, tokens / budget.tokens)
        if progress >= (validated + 1) / VALIDATIONS or progress >= 1:
            validated += 1
            best = min(best, (validate(), copy.deepcopy(model.state_dict())), key=lambda pair: pair[0])
        if progress >= 1:
            break
    if best[0] == float("inf"):
        raise TrainingError("The loss never was a number; train on other reviews or for longer.")
    model.load_state_dict(best[1])
    return Spent(seconds, tokens)


def window_losses(model: NeuralLanguageModel, stream: Tensor, seed: int) -> Losses:
    """Losses of windows at random places of the reviews in `stream [T]`, each `START w1 … wn END`; epoch by epoch."""
    generator = torch.Generator().manual_seed(seed)
    (places,) = torch.where(stream >= END)
    while True:
        for chosen in places[torch.randperm(len(places), generator=generator)].split(BATCH):
            features = model(contexts_before(stream, chosen, model.encoder.context))
            yield model.output.loss(features, stream[chosen]), len(chosen)


def recurrent_losses(model: RecurrentLanguageModel, split: Split, seed: int) -> Losses:
    """Losses by truncated back-propagation through time, over reviews whose ratings are hidden."""
    lanes = int(np.clip(len(split) // 8, 1, LANES))
    state = model.initial_state(lanes)
    for batch in ReviewStreams(split, lanes, STEPS, hidden_ratings=1.0, seed=seed):
        hidden, after = model(batch.inputs, state)
        state = after.detach()
        (counted,) = torch.where(batch.targets.flatten() >= 0)
        yield model.output.loss(hidden.flatten(0, 1)[counted], batch.targets.flatten()[counted]), len(counted)
