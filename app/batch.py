"""Joining the calls of many tasks into one call of the model, and handing each its own rows of the result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from app.calls import Advance, Advanced, Call, Decode, Decoded, Score, Scored
from app.known import Known
from app.language_model import LanguageModel
from app.ranking import Wanted
from app.sampling import Chosen, SamplingRow, choose, draw_sorted, drawing

CHUNK = 16
"""Tokens of a row that are run in one turn, where few rows are."""
SHORT = 4
"""Tokens that are no text yet."""
MANY_ROWS, OF_MANY_ROWS = 8, 2
"""Of so many short rows so many tokens each are run in one turn: a third one of few rows costs as much as of many."""
SCORED_TOKENS, READ_TOKENS = 64, 128
"""Tokens of all rows together that are scored in one turn, or read, so that no turn is long: two steps of many rows."""

NEVER = torch.zeros(1, dtype=torch.int64)
"""Interrupts nothing."""

Kind = Literal["decode", "step", "text", "score"]
MAX_ROWS: dict[Kind, int] = {"decode": 32, "step": 22, "text": 64, "score": 32}
"""Rows of one call into the model; what is over waits for the next turn.

Of very many keystrokes some are run while the event loop reads and answers others. Texts that are read need no softmax:
many rows take little longer than a few.
"""


@dataclass(eq=False, slots=True)
class Progress:
    """A call under way: what each of its rows still has to run, and what came of it so far."""

    call: Call
    kind: Kind
    """Which calls are run together; a few tokens, as of a keystroke, never wait for a text."""
    left: list[Sequence[int]]
    states: Sequence[Tensor]
    result: Advanced | Decoded | Scored | None = None
    scores: list[list[float]] = field(default_factory=list)
    ranks: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, call: Call) -> "Progress":
        if isinstance(call, Decode):
            return cls(call, "decode", [(token,) for token in call.tokens], call.states)
        if isinstance(call, Score):
            empty: list[list[Any]] = [[] for _ in call.tokens]
            return cls(call, "score", list(call.tokens), call.states, None, empty, [[] for _ in call.tokens])
        # What is left of a text stays one: it shares the turns of the others, whose rows cost the less the more.
        kind: Kind = "step" if all(len(tokens) <= SHORT for tokens in call.tokens) else "text"
        return cls(call, kind, list(call.tokens), call.states)

    @property
    def known(self) -> Known | None:
        """What follows, where nothing has to be run for it."""
        return self.call.known if isinstance(self.call, Advance) else None

    @property
    def chooses(self) -> bool:
        """Whether next tokens are chosen at the end of this call."""
        return isinstance(self.call, Decode) or (isinstance(self.call, Advance) and bool(self.call.draws))

    @property
    def is_quick(self) -> bool:
        """Whether nothing has to be run for it, and what is to be drawn hardly takes any time."""
        known, asked = self.known, self.call
        return known is not None and isinstance(asked, Advance) and known.is_quick(asked.draws)

    @property
    def steps(self) -> int:
        """In how many steps the result was chosen."""
        return len(self.result.chosen) if isinstance(self.result, Decoded) else 1


def advance(model: LanguageModel, calls: Sequence[Progress]) -> None:
    running = [call for call in calls if call.known is None]
    if running:
        # The longest first: those that go on are then the first rows, and need not be gathered.
        _run(model, sorted(running, key=lambda call: len(call.left[0]), reverse=True))
    for call in calls:
        if isinstance(asked := call.call, Advance) and asked.known is not None:
            chosen = asked.known.choose(asked.draws) if asked.draws else None
            call.result = Advanced([asked.known.log_probabilities], call.states, chosen=chosen)
    _draw(running)


def _run(model: LanguageModel, calls: Sequence[Progress]) -> None:
    tokens, lengths, states, width = _chunk(calls, padded=False)
    wanted = Wanted()
    told: list[int] = []
    ending: list[tuple[Progress, Advance, slice]] = []
    slices = _slices(calls)
    for call, own in slices:
        asked = call.call
        if isinstance(asked, Advance) and asked.probabilities and max(map(len, call.left)) <= width:
            place = slice(len(told), len(told) + len(call.left))
            told += range(own.start, own.stop)
            wanted.add(place.start, asked.among)
            ending.append((call, asked, place))
    log_probabilities, states, *best = model.calls.advance(tokens, lengths, states, told, *wanted.arguments())
    ranked = wanted.ranked(*best)
    for call, own in slices:
        # A row that was done before this chunk kept its state, from which the same probabilities follow again.
        call.states, call.left = states[own], [left[width:] for left in call.left]
        if not any(call.left):
            call.result = Advanced([], call.states)
    for call, asked, place in ending:
        found = [ranked[row] for row in range(place.start, place.stop)] if asked.among else []
        call.result = Advanced(log_probabilities[place], call.states, found)


def _draw(calls: Sequence[Progress]) -> None:
    """Chooses what the calls that end now draw, all at once."""
    drawing = [
        (call.result, call.call.draws)
        for call in calls
        if isinstance(call.call, Advance) and call.call.draws and isinstance(call.result, Advanced)
    ]
    if not drawing:
        return
    scores = torch.stack([result.log_probabilities[0] for result, draws in drawing for _ in draws])
    chosen = choose(scores, [draw for _, draws in drawing for draw in draws])
    start = 0
    for result, draws in drawing:
        result.chosen = chosen.of(slice(start, start := start + len(draws)))


def decode(model: LanguageModel, calls: Sequence[Progress], interrupt: Tensor = NEVER) -> None:
    """Chooses a token a row, and more as far as `Decode` has it, until `interrupt` is not 0."""
    asked = [call.call for call in calls if isinstance(call.call, Decode)]
    tokens = [token for call in asked for token in call.tokens]
    states = [state for call in asked for state in call.states]
    rows = [row for call in asked for row in call.rows]
    if all(map(_is_plain, rows)):
        chosen, after = _drawn(model, tokens, states, rows, interrupt)
    else:
        chosen, after = _stepped(model, tokens, states, rows)
    for call, own in _slices(calls):
        call.result = Decoded([each.of(own) for each in chosen], after[own])


def _is_plain(row: SamplingRow) -> bool:
    return row.settings.is_plain and not row.top


def _drawn(
    model: LanguageModel,
    tokens: list[int],
    states: list[Tensor],
    rows: list[SamplingRow],
    interrupt: Tensor,
) -> tuple[list[Chosen], list[Tensor]]:
    """Steps and choices in one call, where every row is plain."""
    steps = min(1 + len(row.ahead) for row in rows)
    drawn, values, numbers, waiting, log_probabilities, after = model.calls.decode(
        tokens, states, *drawing(rows, steps), model.vocabulary.end, interrupt
    )
    for place, token in draw_sorted(log_probabilities, rows, numbers, waiting).items():
        drawn[-1][place], values[-1][place] = token, float(log_probabilities[place, token])
    return list(map(Chosen, drawn, values)), after


def _stepped(
    model: LanguageModel, tokens: list[int], states: list[Tensor], rows: list[SamplingRow]
) -> tuple[list[Chosen], list[Tensor]]:
    log_probabilities, after = model.calls.step(tokens, states)
    return [choose(log_probabilities, rows)], after


def score(model: LanguageModel, calls: Sequence[Progress]) -> None:
    tokens, lengths, states, width = _chunk(calls, padded=True)
    scores, ranks, states = model.calls.score(tokens, lengths, states, any(map(_ranked, calls)))
    told, places = scores.tolist(), ranks.tolist()
    for call, rows in _slices(calls):
        for number, (left, row) in enumerate(zip(call.left, range(rows.start, rows.stop), strict=True)):
            count = min(width, len(left))
            call.scores[number] += told[row][:count]
            call.ranks[number] += places[row][:count] if _ranked(call) else [0] * count
        call.states = states[rows]
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


def _chunk(calls: Sequence[Progress], padded: bool) -> tuple[list[int], list[int], list[Tensor], int]:
    """The next chunk of every row, as `RowCalls` takes it: tokens, lengths and states; and its width.

    Where all rows are short it is as wide as the longest, so that there is one call for all of them, or for almost all.
    Else, if rows are `padded` to a common length and what pads them takes its time, it is as wide as the shortest that
    is left.
    """
    rows = [left for call in calls for left in call.left]
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    if longest <= SHORT:
        width = longest if padded or len(rows) < MANY_ROWS else min(longest, OF_MANY_ROWS)
    else:
        most = min(filter(None, lengths)) if padded else longest
        tokens_at_once = SCORED_TOKENS if padded else READ_TOKENS
        width = min(most, CHUNK, max(1, tokens_at_once // len(rows)))
    tokens = [token for row in rows for token in (*row[:width], *[0] * (width - len(row)))]
    return tokens, lengths, [state for call in calls for state in call.states], width
