"""app/context.py: what was read before is not run again, and nobody can tell from the answer."""

import contextlib
import math
import random

import pytest
import torch

from app.batch import Progress, advance
from app.calls import Task
from app.generation import GenerationSettings, generate
from app.known import Known
from app.language_model import LanguageModel, load_language_model
from app.next_word import NextWords, next_words
from app.sampling import SamplingSettings
from app.spelling import Spelling
from tests.app.support import ARTIFACT, Server, run_alone

TEXT = "We came for lunch on a sunny day and the waiter was so friendly that we stayed for dinner. The soup was"


@pytest.fixture
def caching() -> LanguageModel:
    return load_language_model(ARTIFACT, cache_bytes=1 << 24)


def _suggested(model: LanguageModel, spelling: Spelling, text: str, prefix: str = "") -> NextWords:
    return run_alone(model, next_words(model, spelling, text, prefix, 5, 4, False))


def test_words_are_the_same_to_the_bit_with_and_without_the_cache(
    model: LanguageModel, caching: LanguageModel, spelling: Spelling
) -> None:
    words = TEXT.split(" ")
    for count in range(1, len(words)):
        text = " ".join(words[:count])
        assert _suggested(caching, spelling, text).words == _suggested(model, spelling, text).words
        assert _suggested(caching, spelling, text, "a").words == _suggested(model, spelling, text, "a").words


def test_letters_give_the_same_bits_whatever_was_asked_for_before(
    model: LanguageModel, caching: LanguageModel, spelling: Spelling
) -> None:
    prefixes = [word[:count] for word in ("amazing", "bland", "don't", "ice-cream") for count in range(len(word) + 1)]
    random.Random(1).shuffle(prefixes)  # as who goes back some letters, or to another word
    for prefix in [*prefixes, *prefixes]:
        assert _suggested(caching, spelling, TEXT, prefix).words == _suggested(model, spelling, TEXT, prefix).words


def test_no_spelling_is_run_twice_while_a_word_is_typed(
    model: LanguageModel, caching: LanguageModel, spelling: Spelling
) -> None:
    letters = [word[:count] for word in ("delicious", "great") for count in range(len(word) + 1)]

    def run(model: LanguageModel, prefix: str) -> list[Row]:
        return _rows_run(model, next_words(model, spelling, TEXT, prefix, 5, 4, False))

    with_cache, without = ([row for prefix in letters for row in run(each, prefix)] for each in (caching, model))
    assert len(with_cache) == len(set(with_cache))
    assert {*with_cache} == {*without}
    assert len(with_cache) < len(without) / 2
    assert not any(run(caching, prefix) for prefix in letters)


Row = tuple[tuple[int, ...], tuple[float, ...]]
"""Tokens that are run, and the state they are run from."""


def _rows_run(model: LanguageModel, task: Task[NextWords]) -> list[Row]:
    """Runs a task without an engine; returns the rows of its calls, those of no tokens, too."""
    rows: list[Row] = []
    answer = None
    with torch.inference_mode(), contextlib.suppress(StopIteration):
        while True:
            call = Progress.of(task.send(answer))
            rows += [(tuple(row), tuple(state.tolist())) for row, state in zip(call.left, call.states, strict=True)]
            while not call.result:
                advance(model, [call])
            answer = call.result
    return rows


def test_typing_on_costs_the_new_tokens_only(caching: LanguageModel, spelling: Spelling) -> None:
    before = _suggested(caching, spelling, TEXT)
    assert before.cached_tokens == 0
    assert _suggested(caching, spelling, TEXT, "g").cached_tokens == before.context_tokens
    longer = _suggested(caching, spelling, f"{TEXT} very")
    assert (longer.cached_tokens, longer.context_tokens) == (before.context_tokens, before.context_tokens + 1)


def test_going_back_a_few_words_finds_a_state_close_by(caching: LanguageModel, spelling: Spelling) -> None:
    _suggested(caching, spelling, TEXT)
    shorter = _suggested(caching, spelling, TEXT.removesuffix(" The soup was"))
    assert shorter.cached_tokens == 1 + len(TEXT.split()[:16])


def test_another_rating_is_another_context(caching: LanguageModel, spelling: Spelling) -> None:
    _suggested(caching, spelling, TEXT)
    other = run_alone(caching, next_words(caching, spelling, TEXT, "", 5, None, False))
    assert other.cached_tokens == 0


def _written(model: LanguageModel) -> list[tuple[str, float]]:
    sampling = SamplingSettings(repetition_penalty=1.1)  # which looks at every token, the opening too
    settings = GenerationSettings(n=3, max_tokens=12, sampling=sampling, stop=[], seed=5)
    found = run_alone(model, generate(model, "", 4, settings))
    return [(review.text, review.log_probability) for review in found.reviews]


def test_reviews_are_the_same_to_the_bit_where_their_beginning_is_kept(
    model: LanguageModel, caching: LanguageModel
) -> None:
    assert _written(caching) == _written(caching) == _written(model)


def test_what_follows_an_opening_alone_is_not_computed_again(caching: LanguageModel) -> None:
    opening, (state,) = caching.vocabulary.opening(4), caching.initial_states(1)
    (token,) = caching.vocabulary.encode(" soup")
    certain = torch.full((caching.vocabulary.size,), -math.inf)
    certain[token] = 0.0
    caching.states.keep(opening, "", 0, 1, state, Known(certain))
    assert all(text.startswith(" soup") for text, _ in _written(caching))


def test_the_answer_tells_what_was_cached(server: Server) -> None:
    text = "A sentence that no other test sends to the server that all of them share"
    first = server.post("/next-word", text=text)["usage"]
    second = server.post("/next-word", text=f"{text} here")["usage"]
    assert first["cached_tokens"] == 0
    assert second["cached_tokens"] == first["context_tokens"]
