"""What a task asks of the model and what it is answered: the language between the tasks and the engine.

A task is a generator that yields the model calls it needs (`Advance`, `Decode`, `Score`), is sent their results, and
returns its own.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from app.known import Known
from app.ranking import Ranked, TokenSet
from app.sampling import Chosen, SamplingRow

Result = TypeVar("Result")


@dataclass(slots=True)
class Advance:
    """Run `tokens`, rows of any length, from `states`, rows `[S]`; answered with `Advanced`.

    With `among`, a large set for each row, the best next tokens of that set are told, too. With `draws`, so many next
    tokens of a single row are chosen. Without `probabilities` there are states alone, which takes half the time.

    Where there are no tokens and what follows a single row is `known`, nothing is run.
    """

    tokens: Sequence[Sequence[int]]
    states: Sequence[Tensor]
    among: Sequence[TokenSet] = ()
    draws: Sequence[SamplingRow] = ()
    probabilities: bool = True
    known: Known | None = None


@dataclass(slots=True)
class Advanced:
    """`log_probabilities` of the next token, rows `[V]` or none, and `states`, rows `[S]`, after each row's last token.

    `best` and `chosen` are the next tokens that were asked for.
    """

    log_probabilities: Sequence[Tensor]
    states: Sequence[Tensor]
    best: Sequence[Ranked] = ()
    chosen: Chosen | None = None


STEPS = 8
"""Tokens of a review that are written in one call where nobody asks for anything else meanwhile.

For all of them the engine's thread waits for the interpreter once, and does its own work once.
"""


@dataclass(slots=True)
class Decode:
    """Run one token a row, `tokens [n]`, and choose the next as `rows` say; answered with `Decoded`.

    Where all the rows have numbers for more tokens, it may go on, up to the first that ends a review.
    """

    tokens: Sequence[int]
    states: Sequence[Tensor]
    rows: Sequence[SamplingRow]


@dataclass(slots=True)
class Decoded:
    """What was chosen in one step after the other, and `states`, rows `[S]`, before the last of it is run."""

    chosen: Sequence[Chosen]
    states: Sequence[Tensor]


@dataclass(slots=True)
class Score:
    """Score every token of each row of `tokens` from `states`, rows `[S]`; answered with `Scored`."""

    tokens: Sequence[Sequence[int]]
    states: Sequence[Tensor]
    ranks: bool


@dataclass(slots=True)
class Scored:
    """For each row, each token's natural log-probability, and its rank (0 unless asked for)."""

    log_probabilities: list[list[float]]
    ranks: list[list[int]]


Call = Advance | Decode | Score
Task = Generator[Call, Any, Result]


@dataclass(slots=True)
class Timing:
    """Where a request's time went, in milliseconds."""

    queue: float = 0.0
    model: float = 0.0
