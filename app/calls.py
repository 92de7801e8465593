"""What a task asks of the model and what it is answered: the language between the tasks and the engine.

A task is a generator that yields the model calls it needs (`Advance`, `Decode`, `Score`), is sent their results, and
returns its own.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from app.sampling import SamplingRow

Result = TypeVar("Result")


@dataclass(slots=True)
class Advance:
    """Run `tokens`, rows of any length, from `state [n, S]`; answered with `Advanced`."""

    tokens: Sequence[Sequence[int]]
    state: Tensor


@dataclass(slots=True)
class Advanced:
    """`log_probabilities [n, V]` of the next token, and `state [n, S]`, after each row's last token."""

    log_probabilities: Tensor
    state: Tensor


@dataclass(slots=True)
class Decode:
    """Run one token a row, `tokens [n]`, and choose the next as `rows` say; answered with `Decoded`."""

    tokens: Sequence[int]
    state: Tensor
    rows: Sequence[SamplingRow]


@dataclass(slots=True)
class Decoded:
    """The chosen `tokens`, their natural log-probabilities under the model, and `state [n, S]` before they are run."""

    tokens: list[int]
    log_probabilities: list[float]
    state: Tensor


@dataclass(slots=True)
class Score:
    """Score every token of each row of `tokens` from `state [n, S]`; answered with `Scored`."""

    tokens: Sequence[Sequence[int]]
    state: Tensor
    ranks: bool


@dataclass(slots=True)
class Scored:
    """For each row, each token's natural log-probability, and its rank (0 unless asked for)."""

    log_probabilities: list[list[float]]
    ranks: list[list[int]]


Call = Advance | Decode | Score
Task = Generator[Call, Any, Result]


@dataclass
class Timing:
    """Where a request's time went, in milliseconds."""

    queue: float = 0.0
    model: float = 0.0
