"""The model as every peer calls it: the service's own requests in, a batch at a time, its own responses out.

These are the service's own tasks on the same artifact (next-word search, chunks, sampling), run without its engine: the
rows of a batch step together until the longest is done, and nothing is kept for the next batch. So what a peer is
measured for is how it serves, not how well somebody wrote its model's code.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch

from app.batch import MAX_ROWS, Kind, Progress
from app.calls import Task
from app.generation import Generation, GenerationSettings, generate
from app.language_model import LanguageModel, load_language_model
from app.memory import keep_freed_memory
from app.next_word import next_words
from app.routes.generate import settings_of
from app.routes.streaming import event_line
from app.schemas import (
    GenerateRequest,
    GenerateResponse,
    GenerateUsage,
    NextWordRequest,
    NextWordResponse,
    NextWordUsage,
    Review,
    ScoreRequest,
    ScoreResponse,
    Suggestion,
)
from app.score_response import score_response
from app.scoring import encode, score
from app.settings import Settings
from app.spelling import Spelling
from app.state_cache import StateCache
from app.turns import EXECUTE

Result = TypeVar("Result")
ONE_BATCH = 2**30
"""Bytes that the states of one batch never have."""
Turns = Generator[None, None, list[Result]]


class SharedModel:
    """The artifact of `REVIEW_LM_MODEL_DIRECTORY`, on one thread of torch for each caller, as it is made for."""

    def __init__(self) -> None:
        keep_freed_memory()
        self._model = load_language_model(Settings().model_directory)
        self._spelling = Spelling(self._model.vocabulary)

    def next_words(self, requests: Sequence[NextWordRequest]) -> list[NextWordResponse]:
        model = self._after([(each.stars, each.text) for each in requests])
        tasks = [
            next_words(model, self._spelling, each.text, each.prefix, each.k, each.stars, each.punctuation)
            for each in requests
        ]
        return [
            NextWordResponse(
                suggestions=[Suggestion(word=word.word, probability=word.probability) for word in found.words],
                usage=NextWordUsage(context_tokens=found.context_tokens, cached_tokens=0),
                model=model.name,
            )
            for found in _finished(together(model, tasks))
        ]

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResponse]:
        settings = [settings_of(each) for each in requests]
        written = _finished(self._writing(requests, settings, [[] for _ in requests]))
        return [self._response(each, own.seed) for each, own in zip(written, settings, strict=True)]

    def stream(self, requests: Sequence[GenerateRequest]) -> Iterator[list[str]]:
        """Yields after each step the server-sent events that are new of each request, perhaps none."""
        settings = [settings_of(each) for each in requests]
        told: list[list[dict[str, Any]]] = [[] for _ in requests]
        turns = self._writing(requests, settings, told)
        try:
            while True:
                next(turns)
                yield [_events(own) for own in told]
                for own in told:
                    own.clear()
        except StopIteration as finished:
            for own, each, chosen in zip(told, finished.value, settings, strict=True):
                own.append(self._response(each, chosen.seed).model_dump(exclude={"reviews"}))
        yield [_events(own) + "data: [DONE]\n\n" for own in told]

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResponse]:
        model = self._model
        tasks = [score(model, encode(model, each.texts), each.stars, each.tokens) for each in requests]
        found = _finished(together(model, tasks))
        return [score_response(texts, each.tokens, model.name) for texts, each in zip(found, requests, strict=True)]

    def _after(self, begins: Sequence[tuple[int | None, str]]) -> LanguageModel:
        """The model with the states after these ratings and texts, all read in one call, and no others."""
        model, vocabulary = self._model, self._model.vocabulary
        keys = [(vocabulary.opening(stars), text.removesuffix(" ")) for stars, text in begins]
        rows = [[opening, *vocabulary.encode(text)] for opening, text in keys]
        width = max(map(len, rows))
        tokens = [token for row in rows for token in (*row, *[0] * (width - len(row)))]
        with torch.inference_mode():
            after = model.calls.after(tokens, [*map(len, rows)], model.initial_state(len(rows)))
        states = StateCache(ONE_BATCH)
        for (opening, text), row, state in zip(keys, rows, after.unbind(0), strict=True):
            states.keep(opening, text, 0, len(row), state)
        return replace(model, states=states)

    def _writing(
        self,
        requests: Sequence[GenerateRequest],
        settings: Sequence[GenerationSettings],
        told: Sequence[list[dict[str, Any]]],
    ) -> Turns[Generation]:
        model = self._after([(each.stars, each.prompt) for each in requests])

        def writing(place: int) -> Task[Generation]:
            def emit(index: int, text: str, reason: str | None, _: object) -> None:
                told[place].append({"index": index, "text": text, **({"finish_reason": reason} if reason else {})})

            each = requests[place]
            return generate(model, each.prompt, each.stars, settings[place], emit)

        return together(model, [writing(place) for place in range(len(requests))])

    def _response(self, written: Generation, seed: int) -> GenerateResponse:
        usage = GenerateUsage(prompt_tokens=written.prompt_tokens, generated_tokens=written.generated_tokens)
        reviews = [Review.model_validate(review) for review in written.reviews]
        return GenerateResponse(reviews=reviews, seed=seed, usage=usage, model=self._model.name)


def together(model: LanguageModel, tasks: Sequence[Task[Result]]) -> Turns[Result]:
    """Runs tasks as one static batch; yields after each turn, in which every task has a call answered."""
    results: list[Any] = [None] * len(tasks)
    calls: dict[int, Progress] = {}

    def resume(place: int, result: Any) -> None:
        calls.pop(place, None)
        try:
            calls[place] = Progress.of(tasks[place].send(result))
        except StopIteration as finished:
            results[place] = finished.value

    for place in range(len(tasks)):
        resume(place, None)
    while calls:
        with torch.inference_mode():
            for kind, places in _groups(calls):
                EXECUTE[kind](model, [calls[place] for place in places])
        for place, call in [*calls.items()]:
            if call.result is not None:
                resume(place, call.result)
        yield
    return results


def _groups(calls: dict[int, Progress]) -> list[tuple[Kind, list[int]]]:
    """The calls of a turn by their kind, no more rows at once than the service runs."""
    groups: list[tuple[Kind, list[int]]] = []
    for kind in EXECUTE:
        rows = MAX_ROWS[kind]
        for place, call in calls.items():
            if call.kind != kind:
                continue
            rows += len(call.left)
            if rows > MAX_ROWS[kind]:
                groups.append((kind, []))
                rows = len(call.left)
            groups[-1][1].append(place)
    return groups


def _finished(turns: Turns[Result]) -> list[Result]:
    while True:
        try:
            next(turns)
        except StopIteration as finished:
            results: list[Result] = finished.value
            return results


def _events(told: Sequence[dict[str, Any]]) -> str:
    return "".join(map(event_line, told))
