"""Writing reviews: sample token after token, end at the end mark, a stop string or the length asked for."""

import codecs
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from app import context
from app.calls import Decode, Decoded, Task
from app.language_model import LanguageModel
from app.sampling import SamplingRow, SamplingSettings, uniforms

FinishReason = Literal["end", "length", "stop"]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """What to write; `seed` and a review's index decide its text, whatever else the model is doing."""

    n: int
    max_tokens: int
    sampling: SamplingSettings
    stop: Sequence[str]
    seed: int


@dataclass(frozen=True, slots=True)
class GeneratedReview:
    text: str
    finish_reason: FinishReason
    tokens: int
    log_probability: float


@dataclass(frozen=True, slots=True)
class Generation:
    reviews: list[GeneratedReview]
    prompt_tokens: int


Emit = Callable[[int, str, FinishReason | None], None]
"""Told of each piece of text as it is certain, and of each review's end: `(index, text, finish reason or None)`."""


def _nobody(index: int, text: str, reason: FinishReason | None) -> None:
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
        searched_from = max(0, len(self.text) - max(map(len, self._stop), default=0))
        self.text += self._decoder.decode(piece)
        places = [place for stop in self._stop if (place := self.text.find(stop, searched_from)) >= 0]
        if places:
            self.text, self.stopped = self.text[: min(places)], True

    def take(self, final: bool) -> str:
        """What became certain since the last call."""
        certain = len(self.text) if final or self.stopped else len(self.text) - self._held_back()
        taken = self.text[self._emitted : certain]
        self._emitted = max(self._emitted, certain)
        return taken

    def _held_back(self) -> int:
        return max(
            (length for stop in self._stop for length in range(1, len(stop)) if self.text.endswith(stop[:length])),
            default=0,
        )


class _Row:
    """One review being written."""

    def __init__(self, index: int, prompt: list[int], settings: GenerationSettings, drop_space: bool) -> None:
        self.index, self.settings = index, settings
        self.text = _Text(settings.stop)
        self.log_probabilities: list[float] = []
        self.reason: FinishReason | None = None
        self._seen = list(prompt)
        self._uniforms = uniforms(settings.seed, index)
        self._drop_space = drop_space

    def next_draw(self) -> SamplingRow:
        return SamplingRow(self.settings.sampling, next(self._uniforms), self._seen)

    def accept(self, token: int, log_probability: float, model: LanguageModel, emit: Emit) -> None:
        """Takes the token that was chosen, and decides whether the review goes on."""
        self._seen.append(token)
        self.log_probabilities.append(log_probability)
        piece = model.vocabulary.token_bytes[token]
        if self._drop_space and len(self.log_probabilities) == 1:
            piece = piece.removeprefix(b" ")
        ended = token == model.vocabulary.end
        last = ended or len(self.log_probabilities) == self.settings.max_tokens
        self.text.add(piece)
        if self.text.stopped:
            self.reason = "stop"
        elif last:
            self.reason = "end" if ended else "length"
        if (certain := self.text.take(final=self.reason is not None)) or self.reason:
            emit(self.index, certain, self.reason)

    def review(self) -> GeneratedReview:
        assert self.reason is not None
        return GeneratedReview(
            self.text.text, self.reason, len(self.log_probabilities), math.fsum(self.log_probabilities)
        )


def generate(
    model: LanguageModel, prompt: str, stars: int | None, settings: GenerationSettings, emit: Emit = _nobody
) -> Task[Generation]:
    """Writes `settings.n` reviews that begin with `prompt`.

    A single space at the prompt's end belongs to the next word, as everywhere in the vocabulary: it is taken back, and
    the word that follows loses its own.
    """
    spaced = prompt.endswith(" ")
    prompt = prompt.removesuffix(" ")
    opening = model.vocabulary.opening(stars)
    penalised = settings.sampling.repetition_penalty != 1.0
    seen = [opening, *model.vocabulary.encode(prompt)] if penalised else []
    rows = [_Row(index, seen, settings, spaced) for index in range(settings.n)]
    prompted = yield from context.read(model, opening, prompt, draws=[row.next_draw() for row in rows])
    assert prompted.last.chosen is not None
    running, chosen = rows, prompted.last.chosen
    states: Sequence[Tensor] = [prompted.last.states[0]] * settings.n
    while True:
        for row, token, value in zip(running, chosen.tokens, chosen.log_probabilities, strict=True):
            row.accept(token, value, model, emit)
        going_on = [place for place, row in enumerate(running) if row.reason is None]
        if not going_on:
            return Generation([row.review() for row in rows], prompted.tokens)
        running, tokens = [running[place] for place in going_on], [chosen.tokens[place] for place in going_on]
        before = [states[place] for place in going_on]
        decoded: Decoded = yield Decode(tokens, before, [row.next_draw() for row in running])
        chosen, states = decoded.chosen, decoded.states
