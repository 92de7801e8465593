"""Joining the calls of many tasks into one call of the model, and handing each its own rows of the result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from app import ranking
from app.calls import Advance, Advanced, Call, Decode, Decoded, Score, Scored
from app.language_model import LanguageModel
from app.sampling import choose

MAX_ROWS = 32
"""Rows of one call into the model; what is over waits for the next turn."""
CHUNK = 16
"""Tokens of a row that are run in one turn, where few rows are."""
SHORT = 4
"""Tokens that are no text yet."""
MAX_TOKENS = 256
"""Tokens of all rows together that are run in one turn, so that no turn is long."""

Kind = Literal["decode", "step", "text", "score"]


@dataclass(eq=False, slots=True)
class Progress:
    """A call under way: what each of its rows still has to run, and what came of it so far."""

    call: Call
    left: list[Sequence[int]]
    state: Tensor
    result: Advanced | Decoded | Scored | None = None
    scores: list[list[float]] = field(default_factory=list)
    ranks: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, call: Call) -> "Progress":
        if isinstance(call, Decode):
            return cls(call, [(token,) for token in call.tokens], call.state)
        if isinstance(call, Score):
            empty: list[list[Any]] = [[] for _ in call.tokens]
            return cls(call, list(call.tokens), call.state, None, empty, [[] for _ in call.tokens])
        return cls(call, list(call.tokens), call.state)

    @property
    def chooses(self) -> bool:
        """Whether next tokens are chosen at the end of this call."""
        return isinstance(self.call, Decode) or (isinstance(self.call, Advance) and bool(self.call.draws))

    @property
    def kind(self) -> Kind:
        """Which calls are run together; a few tokens, as of a keystroke, never wait for a text."""
        if isinstance(self.call, Advance):
            return "step" if all(len(left) <= SHORT for left in self.left) else "text"
        return "decode" if isinstance(self.call, Decode) else "score"


def advance(model: LanguageModel, calls: Sequence[Progress]) -> None:
    tokens, lengths, state, width = _chunk(calls)
    log_probabilities, state = model.advance(tokens, lengths, state)
    done: list[tuple[Progress, Advance, slice]] = []
    for call, rows in _slices(calls):
        # A row that was done before this chunk kept its state, from which the same probabilities follow again.
        call.state = state[rows]
        if any(len(left) > width for left in call.left):
            call.left = [left[width:] for left in call.left]
        else:
            assert isinstance(call.call, Advance)
            done.append((call, call.call, rows))
    best = iter(_best(log_probabilities, [(asked, rows) for _, asked, rows in done if asked.among]))
    for call, asked, rows in done:
        own = log_probabilities[rows]
        chosen = choose(own.expand(len(asked.draws), -1), asked.draws) if asked.draws else None
        call.result = Advanced(own, call.state, [next(best) for _ in asked.among], chosen)


def _best(log_probabilities: Tensor, asked: list[tuple[Advance, slice]]) -> list[ranking.Ranked]:
    if not asked:
        return []
    rows = [row for _, each in asked for row in range(each.start, each.stop)]
    chosen = log_probabilities if len(rows) == len(log_probabilities) else log_probabilities[rows]
    return ranking.best(chosen, [allowed for call, _ in asked for allowed in call.among])


def decode(model: LanguageModel, calls: Sequence[Progress]) -> None:
    tokens = torch.tensor([token for call in calls for (token,) in call.left])
    log_probabilities, state = model.step(tokens, torch.cat([call.state for call in calls]))
    for call, rows in _slices(calls):
        assert isinstance(call.call, Decode)
        call.result = Decoded(choose(log_probabilities[rows], call.call.rows), state[rows])


def score(model: LanguageModel, calls: Sequence[Progress]) -> None:
    tokens, lengths, state, width = _chunk(calls)
    log_probabilities, ranks, state = model.score(tokens, lengths, state, any(map(_ranked, calls)))
    for call, rows in _slices(calls):
        for row, left in enumerate(call.left):
            count = min(width, len(left))
            call.scores[row] += log_probabilities[rows.start + row, :count].tolist()
            call.ranks[row] += ranks[rows.start + row, :count].tolist() if _ranked(call) else [0] * count
        call.state = state[rows]
        call.left = [left[width:] for left in call.left]
        if not any(call.left):
            call.result = Scored(call.scores, call.ranks)


def _ranked(progress: Progress) -> bool:
    return isinstance(progress.call, Score) and progress.call.ranks


def _slices(calls: Sequence[Progress]) -> list[tuple[Progress, slice]]:
    """Each call with the rows of the batch that are its own."""
    result, start = [], 0
    for call in calls:
        result.append((call, slice(start, start + len(call.left))))
        start += len(call.left)
    return result


def _chunk(calls: Sequence[Progress]) -> tuple[Tensor, Tensor, Tensor, int]:
    """The next chunk of every row: `tokens [B, T]` padded with 0, `lengths [B]`, `state [B, S]`, and its width T.

    It is as wide as the shortest row that is left, so that no row waits for a longer one or is padded to its length.
    """
    rows = [left for call in calls for left in call.left]
    lengths = [len(row) for row in rows]
    shortest = min((length for length in lengths if length), default=0)
    width = min(shortest, CHUNK, max(1, MAX_TOKENS // len(rows)))
    tokens = [[*row[:width], *[0] * (width - length)] for row, length in zip(rows, lengths, strict=True)]
    state = calls[0].state if len(calls) == 1 else torch.cat([call.state for call in calls])
    return torch.tensor(tokens, dtype=torch.int64).view(len(rows), width), torch.tensor(lengths), state, width
