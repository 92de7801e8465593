"""First tokens of reviews that begin with nothing, which `app/engine.py` has drawn by the event loop."""

import asyncio
from pathlib import Path

import pytest
import torch

from app.admission import Work
from app.calls import Advance, Advanced, Task
from app.engine import Engine
from app.errors import InternalError
from app.generation import Generation, GenerationSettings, generate
from app.known import FEW, Known
from app.language_model import LanguageModel, load_language_model
from app.sampling import SamplingRow, SamplingSettings
from app.telemetry import Telemetry
from benchmarks.servers import metric_in
from tests.app.support import run_alone


@pytest.fixture
def keeping(random_artifact: Path) -> LanguageModel:
    """A model that keeps what follows an opening, of which nothing is known yet."""
    return load_language_model(random_artifact, cache_bytes=2**20)


def asking_for(n: int, max_tokens: int = 5) -> GenerationSettings:
    return GenerationSettings(n, max_tokens, SamplingSettings(), stop=(), seed=3)


def begun(
    model: LanguageModel, asked: GenerationSettings, telemetry: Telemetry | None = None
) -> tuple[list[int], Generation]:
    """The reviews of which something is there at once, and what is written in the end."""

    async def scenario() -> tuple[list[int], Generation]:
        engine = Engine(model, Work(100, 10_000, 100), 600, telemetry)
        engine.start()
        told: list[int] = []
        try:
            task = generate(model, "", None, asked, lambda index, *_: told.append(index))
            writing = engine.submit(task, Work(asked.n), begins_in_loop=True)
            at_once = list(told)
            written, _ = await writing
            assert (engine.admitted_rows, engine.running_rows) == (0, 0)
        finally:
            engine.close()
        return at_once, written

    return asyncio.run(scenario())


def test_what_follows_an_opening_that_is_known_is_drawn_at_once(keeping: LanguageModel) -> None:
    expected = run_alone(keeping, generate(keeping, "", None, asking_for(2)))
    assert begun(keeping, asking_for(2)) == ([0, 1], expected)


def test_what_is_not_known_is_left_to_the_engine(keeping: LanguageModel, tiny: LanguageModel) -> None:
    expected = run_alone(tiny, generate(tiny, "", None, asking_for(2)))
    assert begun(keeping, asking_for(2)) == ([], expected)
    assert begun(keeping, asking_for(2)) == ([0, 1], expected)


@pytest.mark.parametrize(
    "asked",
    [
        asking_for(FEW + 1),
        GenerationSettings(2, 5, SamplingSettings(top_k=5), stop=(), seed=3),
        GenerationSettings(2, 5, SamplingSettings(), stop=(), seed=3, logprobs=2),
    ],
    ids=["many", "sorted", "with others told"],
)
def test_what_takes_its_time_is_left_to_the_engine(keeping: LanguageModel, asked: GenerationSettings) -> None:
    expected = run_alone(keeping, generate(keeping, "", None, asked))
    assert begun(keeping, asked) == ([], expected)


def test_a_review_of_one_token_ends_at_once(keeping: LanguageModel) -> None:
    (whole,) = run_alone(keeping, generate(keeping, "", None, asking_for(1))).reviews
    at_once, written = begun(keeping, asking_for(1, max_tokens=1))
    (review,) = written.reviews
    assert at_once == [0]
    assert whole.text.startswith(review.text)
    assert (review.finish_reason, review.tokens) == ("length", 1)


def test_first_tokens_and_those_after_them_are_counted(keeping: LanguageModel) -> None:
    run_alone(keeping, generate(keeping, "", None, asking_for(1)))
    telemetry = Telemetry()
    _, written = begun(keeping, asking_for(2), telemetry)
    page = telemetry.page().decode()
    assert metric_in(page, "first_token_seconds_count") == 1
    assert metric_in(page, "token_seconds_count") == max(review.tokens for review in written.reviews) - 1
    assert metric_in(page, "queue_seconds_count") == 1


def test_a_draw_that_fails_fails_alone(tiny: LanguageModel) -> None:
    def drawing_from_nothing() -> Task[None]:
        states = tiny.initial_states(1)
        _: Advanced = yield Advance(
            [[]], states, draws=[SamplingRow(SamplingSettings(), 0.5)], known=Known(torch.empty(0))
        )

    async def scenario() -> None:
        engine = Engine(tiny, Work(100, 10_000, 100), 600)
        engine.start()
        try:
            with pytest.raises(InternalError):
                await engine.submit(drawing_from_nothing(), Work(1), begins_in_loop=True)
            written, _ = await engine.submit(generate(tiny, "", None, asking_for(1)), Work(1), begins_in_loop=True)
            assert written.generated_tokens > 0
            assert engine.admitted_rows == 0
        finally:
            engine.close()

    asyncio.run(scenario())
