"""Streamed reviews: tokens per second beside the bare module's, and the time to the first one."""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from app.language_model import LanguageModel, load_language_model
from app.memory import keep_freed_memory
from app.settings import Settings
from benchmarks.serve.client import Answer, metrics_page, post
from benchmarks.servers import Server, metric_in, serving

STREAMS = 32
FEW_STREAMS = 8
ROUNDS = 3
WARM_UP_SECONDS = 1.0
SECONDS = 6.0
COUNTING_SECONDS = 0.5
"""After which the last count is there."""
BARE_STEPS = 400
BURSTS = 20


def streams() -> dict[str, Any]:
    """32 streams at once against the bare module stepping 32 rows in a loop; time to first token at 8 streams."""
    keep_freed_memory()  # as the service does
    model = load_language_model(Settings().model_directory)
    with serving() as service:
        rates, steps = [], []
        for _ in range(ROUNDS):  # in turn, so that both see the same machine
            rates.append(asyncio.run(_tokens_per_second(service)))
            steps.append(bare_tokens_per_second(model, STREAMS))
        firsts = [first for _ in range(BURSTS) for first in asyncio.run(_first_tokens(service))]
        beside = asyncio.run(_first_tokens_beside_others(service))
    return {
        "streams": STREAMS,
        "tokens/s": statistics.median(rates),
        "bare module, tokens/s": statistics.median(steps),
        "share of the bare module": statistics.median(rates) / statistics.median(steps),
        "median time to the first token, 8 streams that begin at once, ms": 1000 * statistics.median(firsts),
        "median time to the first token beside 7 other streams, ms": 1000 * statistics.median(beside),
    }


async def _stream(service: Server) -> Answer:
    answer = await post(service, "/generate", {"stream": True, "max_tokens": 1000})
    assert answer.status == 200, answer.body
    return answer


async def _tokens_per_second(service: Server) -> float:
    """Tokens that the service writes in a second, with so many streams at all times: where one ends, another begins.

    By its own count while they run. To add up the reviews that end meanwhile would leave out more than it takes in: all
    begin at once, and those that are not ended at the end are the longest.
    """
    end = time.perf_counter() + WARM_UP_SECONDS + SECONDS + COUNTING_SECONDS
    streaming = asyncio.ensure_future(_stream_on(service, STREAMS, end, lambda _: None))
    await asyncio.sleep(WARM_UP_SECONDS)
    before, began = await _written(service), time.perf_counter()
    await asyncio.sleep(SECONDS)
    after, ended = await _written(service), time.perf_counter()
    await streaming
    return (after - before) / (ended - began)


async def _written(service: Server) -> float:
    """Tokens of reviews so far: the first of each, and those after it."""
    page = await metrics_page(service)
    return metric_in(page, "first_token_seconds_count") + metric_in(page, "token_seconds_count")


async def _stream_on(service: Server, streams: int, end: float, tell: Callable[[Answer], None]) -> None:
    """Keeps so many streams going until `end`, and tells of each when it has ended."""

    async def one_after_the_other() -> None:
        while time.perf_counter() < end:
            tell(await _stream(service))

    await asyncio.gather(*(one_after_the_other() for _ in range(streams)))


async def _first_tokens(service: Server) -> list[float]:
    answers = await asyncio.gather(*(_stream(service) for _ in range(FEW_STREAMS)))
    return [answer.first_event for answer in answers if answer.first_event]


async def _first_tokens_beside_others(service: Server) -> list[float]:
    """Of streams that begin one by one, each where another has ended."""
    begin = time.perf_counter() + WARM_UP_SECONDS  # the first ones begin at once
    firsts: list[float] = []

    def note(answer: Answer) -> None:
        if answer.first_event and time.perf_counter() - answer.seconds > begin:
            firsts.append(answer.first_event)

    await _stream_on(service, FEW_STREAMS, begin + SECONDS, note)
    return firsts


@torch.inference_mode()
def bare_tokens_per_second(model: LanguageModel, rows: int) -> float:
    """Steps of the module in a loop, each with the most probable token of the one before."""
    state, tokens = model.initial_state(rows), torch.full((rows,), model.vocabulary.opening(None))
    seconds = 0.0
    for _ in range(BARE_STEPS):
        started = time.perf_counter()
        log_probabilities, state = model.step(tokens, state)
        seconds += time.perf_counter() - started
        tokens = log_probabilities.argmax(dim=1)
    return BARE_STEPS * rows / seconds
