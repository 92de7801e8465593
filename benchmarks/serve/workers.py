"""What more worker processes bring on one machine: suggestions and generated tokens per second, beside one worker.

And how many rows a second their one log takes, which they all share.
"""

import asyncio
import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from app.log.request_log import RequestLog
from app.log.schema import Entry
from app.settings import Settings
from benchmarks.serve.client import post
from benchmarks.serve.load import saturating
from benchmarks.serve.next_words import ROUNDS, TEXTS, TYPISTS, WARM_UP_SECONDS, WORDS, measured
from benchmarks.serve.traffic import made_up_texts, typed_together
from benchmarks.servers import Server, serving
from benchmarks.wrk import run_wrk

AT_ONCE = 32
REVIEW = {"max_tokens": 100}
LOG_ROWS = 20_000
BODY = b"x" * 500
"""Of a request, and of its answer: about what a keystroke at the end of a review has."""


def workers(count: int, seconds: float) -> dict[str, Any]:
    """Both servers stand ready and are measured in turn; medians of the rounds, and the ratios of each round."""
    with ExitStack() as servers:
        one, more = (servers.enter_context(serving(workers=str(number))) for number in (1, count))
        typing = typed_together(made_up_texts(one, TEXTS, WORDS), TYPISTS)
        suggestions, tokens = list[tuple[float, float]](), list[tuple[float, float]]()
        for server in (one, more):
            run_wrk(f"{server.url}/next-word", typing[-2000:], TYPISTS, WARM_UP_SECONDS)
        for number in range(ROUNDS):
            rates = [measured(server, typing, number, seconds)["requests_per_second"] for server in (one, more)]
            suggestions.append((rates[0], rates[1]))
            written = [asyncio.run(_tokens_per_second(server, seconds)) for server in (one, more)]
            tokens.append((written[0], written[1]))
    return {
        "workers": count,
        f"/next-word at {TYPISTS} connections, requests/s": _beside(suggestions),
        f"/generate, {AT_ONCE} at once, tokens/s": _beside(tokens),
        "rows/s that the SQLite log takes": _log_rows_per_second(),
    }


def _beside(rounds: list[tuple[float, float]]) -> dict[str, float]:
    ratios = sorted(more / one for one, more in rounds)
    return {
        "one worker": statistics.median(one for one, _ in rounds),
        "several": statistics.median(more for _, more in rounds),
        "times": statistics.median(ratios),
        "least": ratios[0],
        "most": ratios[-1],
    }


async def _tokens_per_second(server: Server, seconds: float) -> float:
    end = time.perf_counter() + seconds
    written = 0

    async def ask() -> None:
        nonlocal written
        answer = await post(server, "/generate", REVIEW)
        assert answer.status == 200, answer.body
        if time.perf_counter() < end:
            written += answer.json["usage"]["generated_tokens"]

    await saturating(ask, AT_ONCE, seconds)
    return written / seconds


def _log_rows_per_second() -> float:
    entry = Entry(datetime(2026, 1, 2), "", "/next-word", 200, 2.0, 0.1, 150, 0, "a model", BODY, BODY)
    with tempfile.TemporaryDirectory() as directory:
        log = RequestLog(Settings(database_url=f"sqlite:///{directory}/log.sqlite3", log_queue_rows=LOG_ROWS))
        for _ in range(LOG_ROWS):
            log.record(entry)
        started = time.perf_counter()
        log.start()
        log.close()
        seconds = time.perf_counter() - started
        assert (log.written, log.dropped) == (LOG_ROWS, 0)
    return LOG_ROWS / seconds
