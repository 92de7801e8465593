import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import torch

from app.admission import Work
from app.batch import CHUNK, MANY_ROWS, MAX_ROWS, Progress, advance, score
from app.calls import Advance, Advanced, Decode, Decoded, Score, Scored, Task
from app.engine import CALLS_ALONE, Engine
from app.errors import DeadlineExceeded, InternalError, NotReady, Overloaded
from app.generation import GenerationSettings, generate
from app.language_model import LanguageModel
from app.next_word import next_words
from app.sampling import SamplingRow, SamplingSettings
from app.spelling import Spelling
from app.telemetry import Telemetry
from app.turns import EXECUTE
from tests.app.support import eventually, run_alone, run_together, score_all

SCORED = MAX_ROWS["score"]
LONG = "We waited an hour for a table and then they told us that the kitchen was closed. " * 6


@asynccontextmanager
async def running_engine(model: LanguageModel, rows: int = 1000, seconds: float = 600) -> AsyncIterator[Engine]:
    """Leaves when all that was admitted is done, so what a test starts it also ends."""
    engine = Engine(model, Work(rows, 1_000_000, rows), seconds)
    engine.start()
    try:
        yield engine
    finally:
        await asyncio.to_thread(engine.close)


def counting(model: LanguageModel, turns: int) -> Task[int]:
    """A task of so many turns."""
    states = model.initial_states(1)
    for _ in range(turns):
        advanced: Advanced = yield Advance([[7]], states)
        states = advanced.states
    return turns


def endless(model: LanguageModel, rows: int = 1) -> Task[None]:
    """A generation that never ends."""
    states = model.initial_states(rows)
    while True:
        decoded: Decoded = yield Decode([7] * rows, states, [SamplingRow(SamplingSettings(), 0.5)] * rows)
        states = decoded.states


def where_it_goes_on(model: LanguageModel) -> Task[list[str]]:
    """A task of two calls, which tells what thread made something of each."""
    states, threads = model.initial_states(1), list[str]()
    for _ in range(2):
        advanced: Advanced = yield Advance([[7]], states)
        states = advanced.states
        threads.append(threading.current_thread().name)
    return threads


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that run the model for keystrokes, a name for each call."""
    names: list[str] = []

    def noted(model: LanguageModel, calls: Sequence[Progress]) -> None:
        names.append(threading.current_thread().name)
        advance(model, calls)

    monkeypatch.setitem(EXECUTE, "step", noted)
    return names


def endless_scoring(model: LanguageModel) -> Task[None]:
    while True:
        yield Score([[7] * CHUNK] * SCORED, model.initial_states(SCORED), False)


def raising(model: LanguageModel, turns: int) -> Task[None]:
    yield from counting(model, turns)
    raise ValueError("a fault of the task")


def asking_nonsense(model: LanguageModel) -> Task[None]:
    yield from counting(model, 1)
    yield "nonsense"  # type: ignore[misc]


def asking_for_a_token_that_is_none(model: LanguageModel) -> Task[None]:
    yield Advance([[model.vocabulary.size]], model.initial_states(1))


def test_many_tasks_at_once_give_the_same_bits_as_alone(model: LanguageModel, spelling: Spelling) -> None:
    def writing(prompt: str, n: int, seed: int) -> Task[Any]:
        asked = GenerationSettings(n, 20, SamplingSettings(0.9), ["zzz"], seed)
        return generate(model, prompt, seed % 6 or None, asked)

    makers: list[Callable[[], Task[Any]]] = [
        lambda: next_words(model, spelling, "The food was", "", 20, None, False),
        lambda: next_words(model, spelling, LONG, "gr", 5, 4, False),
        lambda: next_words(model, spelling, "", "", 5, 1, True),
        lambda: writing("", 8, 1),
        lambda: writing(LONG, 3, 2),
        lambda: writing("The staff", 50, 3),
        lambda: writing("The staff", 20, 4),
        lambda: score_all(model, [LONG, "Good.", LONG[:99]], 3, True),
        lambda: score_all(model, [f"Table {place} was dirty." for place in range(SCORED + 5)], None, False),
        lambda: score_all(model, ["Great place!"] * 3, 5, False),
    ]
    assert len(model.vocabulary.encode(LONG)) > 2 * CHUNK
    alone = [run_alone(model, make()) for make in makers]
    assert run_together(model, [make() for make in makers]) == alone
    assert run_together(model, [make() for make in reversed(makers)]) == alone[::-1]


@pytest.mark.parametrize("lengths", [(1, CHUNK, CHUNK + 1, 3 * CHUNK + 5), (1, 2, 3, 4) * (MANY_ROWS // 4)])
def test_rows_of_different_lengths_are_run_to_their_own_ends(model: LanguageModel, lengths: Sequence[int]) -> None:
    rows = [[7] * length for length in lengths]

    def advancing() -> Task[Advanced]:
        advanced: Advanced = yield Advance(rows, model.initial_states(len(rows)))
        return advanced

    advanced = run_alone(model, advancing())
    for place, row in enumerate(rows):
        expected = model.advance(torch.tensor([row]), torch.tensor([len(row)]), model.initial_state(1))
        assert torch.equal(advanced.log_probabilities[place], expected[0][0])
        assert torch.equal(advanced.states[place], expected[1][0])


def test_of_many_keystrokes_the_longer_ones_have_another_turn(model: LanguageModel) -> None:
    """A third token of a few of them takes as long as that of all who come next."""
    calls = [Progress.of(Advance([[7] * length], model.initial_states(1))) for length in (1, 2, 3, 4)]
    advance(model, calls)
    assert all(calls[place].result for place in range(4))
    calls = [
        Progress.of(Advance([[7] * length], model.initial_states(1))) for length in (1, 2, 3, 4) * (MANY_ROWS // 4)
    ]
    advance(model, calls)
    assert [call.result is not None for call in calls] == [True, True, False, False] * (MANY_ROWS // 4)
    advance(model, [call for call in calls if not call.result])
    assert all(call.result for call in calls)


def test_what_is_left_of_texts_shares_their_turns(model: LanguageModel) -> None:
    """The last tokens of a text would else have a call of few rows to themselves."""
    calls = [Progress.of(Advance([[7] * length], model.initial_states(1))) for length in (CHUNK + 1, CHUNK + 9)]
    assert [call.kind for call in calls] == ["text", "text"]
    advance(model, calls)
    assert [len(call.left[0]) for call in calls] == [1, 9]
    assert [call.kind for call in calls] == ["text", "text"]
    assert Progress.of(Advance([[7]], model.initial_states(1))).kind == "step"


def test_every_row_of_a_scoring_has_its_own_scores(model: LanguageModel) -> None:
    rows = [[place + 7] * length for place, length in enumerate((2 * CHUNK + 3, 1, CHUNK))]

    def scoring() -> Task[Scored]:
        scored: Scored = yield Score(rows, model.initial_states(len(rows)), True)
        return scored

    scored = run_alone(model, scoring())
    for place, row in enumerate(rows):
        lengths = torch.tensor([len(row)])
        expected = model.score(torch.tensor([row]), lengths, model.initial_state(1), True)
        assert scored.log_probabilities[place] == expected[0][0].tolist()
        assert scored.ranks[place] == expected[1][0].tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda model: raising(model, 0),
        lambda model: raising(model, 3),
        asking_nonsense,
        asking_for_a_token_that_is_none,
    ],
)
def test_a_task_that_fails_fails_alone(tiny: LanguageModel, make: Callable[[LanguageModel], Task[None]]) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            neighbours = [engine.submit(counting(tiny, 10), Work(1)) for _ in range(3)]
            with pytest.raises(InternalError):
                await engine.submit(make(tiny), Work(1))
            assert [result for result, _ in await asyncio.gather(*neighbours)] == [10, 10, 10]
            assert (await engine.submit(counting(tiny, 2), Work(1)))[0] == 2
            assert engine.admitted_rows == 0

    asyncio.run(scenario())


def test_a_deadline_ends_a_task(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny, seconds=0.2) as engine:
            task = endless(tiny)
            with pytest.raises(DeadlineExceeded):
                await engine.submit(task, Work(1))
            assert inspect.getgeneratorstate(task) == inspect.GEN_CLOSED
            assert engine.admitted_rows == 0

    asyncio.run(scenario())


def test_a_cancelled_task_frees_its_rows(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            task = endless(tiny, 3)
            future = engine.submit(task, Work(3))
            await engine.submit(counting(tiny, 2), Work(1))
            assert engine.admitted_rows == 3
            future.cancel()
            await asyncio.to_thread(eventually, lambda: engine.admitted_rows == 0)
            assert inspect.getgeneratorstate(task) == inspect.GEN_CLOSED

    asyncio.run(scenario())


def test_what_is_too_much_is_refused_before_any_work(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny, rows=10) as engine:
            running = engine.submit(endless(tiny, 9), Work(9))
            more = engine.submit(endless(tiny, 2), Work(2))
            refused = counting(tiny, 1)
            try:
                with pytest.raises(Overloaded):
                    engine.submit(refused, Work(1))
                assert inspect.getgeneratorstate(refused) == inspect.GEN_CREATED
                more.cancel()
                await asyncio.to_thread(eventually, lambda: engine.admitted_rows == 9)
                assert (await engine.submit(refused, Work(1)))[0] == 1
            finally:
                running.cancel()

    asyncio.run(scenario())


def test_a_task_larger_than_the_limit_runs_when_nothing_else_does(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny, rows=10) as engine:
            assert (await engine.submit(counting(tiny, 1), Work(11)))[0] == 1

    asyncio.run(scenario())


def test_what_comes_in_one_turn_of_the_event_loop_shares_one_of_the_engine(tiny: LanguageModel) -> None:
    telemetry = Telemetry()

    async def scenario() -> None:
        engine = Engine(tiny, Work(100, 1000, 100), 600, telemetry)
        engine.start()
        await asyncio.gather(*[engine.submit(counting(tiny, 1)) for _ in range(8)])
        await asyncio.to_thread(engine.close)

    asyncio.run(scenario())
    calls, rows = (
        telemetry.registry.get_sample_value(f"review_lm_batch_rows_{what}", {"kind": "step"})
        for what in ("count", "sum")
    )
    assert (calls, rows) == (1, 8)


def test_a_keystroke_that_comes_alone_wakes_no_other_thread_unless_it_needs_many_calls(
    tiny: LanguageModel, threads: list[str]
) -> None:
    here = threading.current_thread().name

    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            for expected in ([here], [here] * CALLS_ALONE, [*[here] * CALLS_ALONE, "engine"]):
                async with asyncio.timeout(60):  # as the engine may not have fallen asleep yet
                    while threads != expected:
                        threads.clear()
                        await engine.submit(counting(tiny, len(expected)), in_loop=True)

    asyncio.run(scenario())


def test_a_keystroke_that_comes_with_others_or_while_the_engine_works_is_run_by_the_engine(
    tiny: LanguageModel, threads: list[str]
) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            await asyncio.gather(*[engine.submit(counting(tiny, 3), in_loop=True) for _ in range(2)])
            other = engine.submit(endless(tiny))
            await asyncio.to_thread(eventually, lambda: engine.running_rows == 1)
            await engine.submit(counting(tiny, 3), in_loop=True)
            other.cancel()

    asyncio.run(scenario())
    assert set(threads) == {"engine"}


@pytest.mark.parametrize("in_loop", [True, False])
def test_a_task_goes_on_in_its_event_loop_if_that_was_asked_for(tiny: LanguageModel, in_loop: bool) -> None:
    where = threading.current_thread().name if in_loop else "engine"

    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            for count in (1, 2):
                told = await asyncio.gather(
                    *[engine.submit(where_it_goes_on(tiny), in_loop=in_loop) for _ in range(count)]
                )
                assert [threads for threads, _ in told] == [[where] * 2] * count

    asyncio.run(scenario())


def test_a_task_in_an_event_loop_that_is_cancelled_ends(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            futures = [engine.submit(counting(tiny, 10**9), in_loop=True) for _ in range(2)]
            await asyncio.to_thread(eventually, lambda: engine.running_rows > 0)
            for future in futures:
                future.cancel()
            await asyncio.to_thread(eventually, lambda: engine.admitted_rows == 0)
            assert engine.running_rows == 0

    asyncio.run(scenario())


def test_a_task_that_comes_back_to_an_engine_that_has_closed_is_told_so(
    tiny: LanguageModel, threads: list[str]
) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            other = engine.submit(endless(tiny))
            await asyncio.to_thread(eventually, lambda: engine.running_rows == 1)
            future = engine.submit(counting(tiny, 2), in_loop=True)
            await asyncio.sleep(0)
            eventually(lambda: threads and engine.running_rows == 1)
            other.cancel()
            engine.close()  # before this event loop has taken back what the first call answered
            with pytest.raises(NotReady):
                await future
            assert engine.admitted_rows == 0

    asyncio.run(scenario())


def test_a_keystroke_that_comes_alone_and_fails_fails_alone(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            for make in (asking_for_a_token_that_is_none(tiny), raising(tiny, 1), asking_nonsense(tiny)):
                with pytest.raises(InternalError):
                    await engine.submit(make, Work(1), in_loop=True)
            assert (await engine.submit(counting(tiny, 2), in_loop=True))[0] == 2
            assert (engine.admitted_rows, engine.running_rows) == (0, 0)

    asyncio.run(scenario())


def test_closing_finishes_what_was_admitted_and_admits_no_more(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            admitted = [engine.submit(counting(tiny, 50 + place), Work(1)) for place in range(5)]
        assert [result for result, _ in await asyncio.gather(*admitted)] == [50, 51, 52, 53, 54]
        assert not engine.alive
        with pytest.raises(NotReady):
            engine.submit(counting(tiny, 1), Work(1))

    asyncio.run(scenario())


def test_an_engine_that_was_not_started_admits_nothing(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        engine = Engine(tiny, Work(10, 1000, 10), 1.0)
        with pytest.raises(NotReady):
            engine.submit(counting(tiny, 1), Work(1))
        engine.close()

    asyncio.run(scenario())


def test_who_comes_during_a_short_call_goes_before_a_longer_one(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    has_come = threading.Event()
    others: list[Callable[[], object]] = []

    def step(model: LanguageModel, calls: Sequence[Progress]) -> None:
        order.append("step")
        if order == ["step"]:
            others[0]()
            assert has_come.wait(60)
        advance(model, calls)

    def scoring(model: LanguageModel, calls: Sequence[Progress]) -> None:
        order.append("score")
        score(model, calls)

    monkeypatch.setitem(EXECUTE, "step", step)
    monkeypatch.setitem(EXECUTE, "score", scoring)

    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            loop, later = asyncio.get_running_loop(), list[asyncio.Future[Any]]()

            def submit() -> None:
                later.append(engine.submit(counting(tiny, 1)))
                loop.call_soon(has_come.set)  # after the engine has it

            others.append(lambda: loop.call_soon_threadsafe(submit))
            scored = engine.submit(score_all(tiny, ["great"], None, False))
            await engine.submit(counting(tiny, 1))
            await scored
            await later[0]

    asyncio.run(scenario())
    assert order == ["step", "step", "score"]


def test_nothing_starves(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            others = [engine.submit(endless(tiny, 2), Work(2)) for _ in range(33)]
            others += [engine.submit(endless_scoring(tiny), Work(1)) for _ in range(3)]
            assert MAX_ROWS["decode"] < 33 * 2
            found, _ = await engine.submit(
                next_words(tiny, Spelling(tiny.vocabulary), "The", "", 5, None, False), Work(16)
            )
            assert len(found.words) == 5
            asked = GenerationSettings(40, 5, SamplingSettings(), [], 1)
            written, _ = await engine.submit(generate(tiny, "", None, asked), Work(40))
            assert len(written.reviews) == 40
            scored, _ = await engine.submit(score_all(tiny, ["great"] * SCORED, None, False), Work(SCORED))
            assert len(scored) == SCORED
            for other in others:
                assert not other.done()
                other.cancel()

    asyncio.run(scenario())


def test_the_time_in_the_queue_and_in_the_model_is_told(tiny: LanguageModel) -> None:
    async def scenario() -> None:
        async with running_engine(tiny) as engine:
            loop = asyncio.get_running_loop()
            before = loop.time()
            _, timing = await engine.submit(counting(tiny, 5), Work(1))
            assert 0 < timing.queue + timing.model <= 1000 * (loop.time() - before)
            assert timing.queue >= 0
            assert timing.model > 0

    asyncio.run(scenario())
