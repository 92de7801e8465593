"""What every figure of the evaluation is measured over: a state and a step, whoever the model is.

The exported network has these two methods, and so has an n-gram model, so that both are measured by the same code.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from training.evaluate import Scorer


class LanguageModel(Protocol):
    """A row of the state holds all that a model keeps of a text; a row's answers depend on that row alone."""

    def initial_state(self, batch: int) -> Tensor:
        """The state before any token, `[B, S]`."""
        ...

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]`; returns natural log-probabilities of the next token `[B, V]` and the state after."""
        ...


def walk(model: LanguageModel, tokens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields, after each of `tokens [B, T]` but the last, what `step` returns."""
    state = model.initial_state(len(tokens))
    for column in tokens.t()[:-1]:
        log_probabilities, state = model.step(column, state)
        yield log_probabilities, state


def step_scorer(model: LanguageModel) -> Scorer:
    """Scores reviews by stepping through them."""

    @torch.inference_mode()
    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        following = tokens.t()[1:, :, None]
        steps = zip(walk(model, tokens), following, strict=True)
        return torch.cat([scores.gather(1, token) for (scores, _), token in steps], dim=1)

    return score
