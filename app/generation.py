"""Writing reviews: sample token after token, end at the end mark, a stop string or the length asked for."""

import codecs
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from app import context
from app.calls import STEPS, Decode, Decoded, Task
from app.context import Context
from app.language_model import LanguageModel
from app.logprobs import TokenLogprob, told
from app.sampling import Chosen, SamplingRow, SamplingSettings, uniforms

FinishReason = Literal["end", "length", "stop"]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """What to write; `seed` and a review's index decide its text, whatever else the model is doing.

    With `logprobs` each token is told, and so many of the most probable ones in its place.
    """

    n: int
    max_tokens: int
    sampling: SamplingSettings
    stop: Sequence[str]
    seed: int
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class GeneratedReview:
    text: str
    finish_reason: FinishReason
    tokens: int
    log_probability: float
    told: Sequence[TokenLogprob] = ()


@dataclass(frozen=True, slots=True)
class Generation:
    reviews: list[GeneratedReview]
    prompt_tokens: int

    @property
    def generated_tokens(self) -> int:
        return sum(review.tokens for review in self.reviews)


Emit = Callable[[int, str, FinishReason | None, Sequence[TokenLogprob]], None]
"""Told of each piece of text as it is certain, and of its end: `(index, text, finish reason or None, tokens)`.

The tokens are those since the piece before, where they are told at all.
"""


def nobody(index: int, text: str, reason: FinishReason | None, tokens: Sequence[TokenLogprob]) -> None:
    pass


class _Text:
    """The text of a review as it grows: whole characters only, and nothing that may become a stop string.

    Of a character that the end of the review cuts, nothing is told.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = stop
        self._emitted = 0
        self.text = ""
        self.stopped = False

    def add(self, piece: bytes) -> None:
        if not self._stop:
            self.text += self._decoder.decode(piece)
            return
        searched_from = max(0, len(self.text) - max(map(len, self._stop), default=0))
        self.text += self._decoder.decode(piece)
        places = [place for stop in self._stop if (place := self.text.find(stop, searched_from)) >= 0]
        if places:
            self.text, self.stopped = self.text[: min(places)], True

    def take(self, final: bool) -> str:
        """What became certain since the last call."""
        certain = len(self.text) if final or self.stopped or not self._stop else len(self.text) - self._held_back()
        taken = self.text[self._emitted : certain]
        self._emitted = max(self._emitted, certain)
        return taken

    def _held_back(self) -> int:
        return max(
            (length for stop in self._stop for length in range(1, len(stop)) if self.text.endswith(stop[:length])),
            default=0,
        )


class _Row:
    """One review being written; `prompt` is as it was sent, `seen` are its tokens where they are penalised."""

    def __init__(self, index: int, prompt: str, seen: list[int], settings: GenerationSettings) -> None:
        self.index, self.settings = index, settings
        self.text = _Text(settings.stop)
        self.log_probabilities: list[float] = []
        self.told: list[TokenLogprob] = []
        self.reason: FinishReason | None = None
        self._emitted = 0
        self._prompt_characters = len(prompt)
        self._seen = list(seen)
        self._uniforms = uniforms(settings.seed, index)
        self._numbers: list[float] = []
        """Those of the next tokens, as far as they were asked for."""
        # What a stop string or a penalty makes of a token is known after the call.
        self._steps = STEPS if settings.sampling.is_plain and not settings.stop else 1
        self._spaced = prompt.endswith(" ")

    @property
    def last(self) -> int:
        return self._seen[-1]

    def next_draw(self) -> SamplingRow:
        left = self.settings.max_tokens - len(self.log_probabilities)
        while len(self._numbers) < min(self._steps, left):
            self._numbers.append(next(self._uniforms))
        number, *ahead = self._numbers
        return SamplingRow(self.settings.sampling, number, self._seen, self.settings.logprobs or 0, ahead)

    def accept(
        self, token: int, log_probability: float, top: Sequence[tuple[int, float]], model: LanguageModel, emit: Emit
    ) -> None:
        """Takes the token that was chosen, and decides whether the review goes on."""
        spaced = self._spaced and not self.log_probabilities
        if self.settings.logprobs is not None:
            offset = self._prompt_characters + len(self.text.text)
            self.told.append(told(model.vocabulary, token, log_probability, top, offset, spaced))
        del self._numbers[0]
        self._seen.append(token)
        self.log_probabilities.append(log_probability)
        piece = model.vocabulary.token_bytes[token]
        ended = token == model.vocabulary.end
        last = ended or len(self.log_probabilities) == self.settings.max_tokens
        self.text.add(piece.removeprefix(b" ") if spaced else piece)
        if self.text.stopped:
            self.reason = "stop"
        elif last:
            self.reason = "end" if ended else "length"
        if (certain := self.text.take(final=self.reason is not None)) or self.reason:
            emit(self.index, certain, self.reason, self._take_told())

    def _take_told(self) -> Sequence[TokenLogprob]:
        taken = self.told[self._emitted :]
        self._emitted = len(self.told)
        return taken

    def review(self) -> GeneratedReview:
        assert self.reason is not None
        total = math.fsum(self.log_probabilities)
        return GeneratedReview(self.text.text, self.reason, len(self.log_probabilities), total, self.told)


def generate(
    model: LanguageModel, prompt: str, stars: int | None, settings: GenerationSettings, emit: Emit = nobody
) -> Task[Generation]:
    """Writes `settings.n` reviews that begin with `prompt`."""
    return generate_each(model, [prompt], stars, settings, emit)


def generate_each(
    model: LanguageModel, prompts: Sequence[str], stars: int | None, settings: GenerationSettings, emit: Emit = nobody
) -> Task[Generation]:
    """Writes `settings.n` reviews that begin with each of `prompts`; those of the first prompt come first.

    A single space at a prompt's end belongs to the next word, as everywhere in the vocabulary: it is taken back, and
    the word that follows loses its own.
    """
    rows: list[_Row] = []
    states: Sequence[Tensor] = []
    prompt_tokens = 0
    for prompt in prompts:
        own, prompted = yield from _begin(model, prompt, stars, settings, len(rows), emit)
        rows += own
        states = [*states, *[prompted.last.states[0]] * settings.n]
        prompt_tokens += prompted.tokens
    running = rows
    while going_on := [place for place, row in enumerate(running) if row.reason is None]:
        running = [running[place] for place in going_on]
        draws = [row.next_draw() for row in running]
        before = [states[place] for place in going_on]
        decoded: Decoded = yield Decode([row.last for row in running], before, draws)
        states = decoded.states
        for chosen in decoded.chosen:
            _accept(running, chosen, model, emit)
    return Generation([row.review() for row in rows], prompt_tokens)


def _begin(
    model: LanguageModel, prompt: str, stars: int | None, settings: GenerationSettings, first: int, emit: Emit
) -> Task[tuple[list[_Row], Context]]:
    """Reads a prompt and takes the first token of each review that begins with it, the `first` and those after it."""
    text, opening = prompt.removesuffix(" "), model.vocabulary.opening(stars)
    penalised = settings.sampling.repetition_penalty != 1.0
    seen = [opening, *model.vocabulary.encode(text)] if penalised else []
    rows = [_Row(first + index, prompt, seen, settings) for index in range(settings.n)]
    prompted = yield from context.read(model, opening, text, draws=[row.next_draw() for row in rows])
    assert prompted.last.chosen is not None
    _accept(rows, prompted.last.chosen, model, emit)
    return rows, prompted


def _accept(rows: Sequence[_Row], chosen: Chosen, model: LanguageModel, emit: Emit) -> None:
    tops = chosen.top or [[]] * len(rows)
    for row, token, value, top in zip(rows, chosen.tokens, chosen.log_probabilities, tops, strict=True):
        row.accept(token, value, top, model, emit)
