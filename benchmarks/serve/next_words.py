"""Suggestions while somebody types: requests per second, and what a keystroke at the end of a long text costs."""

import random
import statistics
import time
from typing import Any

import httpx

from benchmarks.serve.traffic import made_up_texts, typed, typed_together
from benchmarks.servers import SERVICE, Server, serving
from benchmarks.wrk import run_wrk

TYPISTS = 64
WORDS = 150
TEXTS = 5 * TYPISTS
WARM_UP_SECONDS = 2
LONG_WORDS = 500
COMPARED = 50
"""Requests at the beginning of a long text, and as many at its end."""


def throughput(seconds: float) -> dict[str, Any]:
    """Requests per second at 64 connections: the service, an empty endpoint, and the plain way, on the same traffic."""
    with serving() as service:
        texts = made_up_texts(service, TEXTS, WORDS)
        typing = typed_together(texts, TYPISTS)
        ours = _measured(service, typing, seconds)
    with serving("benchmarks.beside.empty") as empty:
        nothing = _measured(empty, typing, seconds)
    with serving("benchmarks.beside.plain") as plain:
        plainly = _measured(plain, typing, seconds)
    with serving(SERVICE, cache_bytes="0") as uncached:
        unrelated = _measured(uncached, _unrelated(texts), seconds)
    return {
        "typing": ours,
        "empty endpoint": nothing,
        "plain way": plainly,
        "unrelated contexts of 1 to 200 words, nothing cached": unrelated,
        "share of the empty endpoint": ours["requests_per_second"] / nothing["requests_per_second"],
        "times the plain way": ours["requests_per_second"] / plainly["requests_per_second"],
    }


def _measured(server: Server, requests: list[dict[str, Any]], seconds: float) -> dict[str, float]:
    # The first requests are the warm-up, so that what is measured are not the same ones, and already known.
    url = f"{server.url}/next-word"
    run_wrk(url, requests[-2000:], TYPISTS, WARM_UP_SECONDS)
    return run_wrk(url, requests, TYPISTS, seconds)


def _unrelated(texts: list[str]) -> list[dict[str, Any]]:
    chance = random.Random(1)
    words = " ".join(texts).split(" ")
    starts = [chance.randrange(len(words) - 200) for _ in range(5000)]
    return [{"text": " ".join(words[start : start + chance.randint(1, 200)])} for start in starts]


def long_text() -> dict[str, Any]:
    """One person types a long text: the median request at its beginning, at its end, and the server's own time."""
    with serving() as service:
        first, text = made_up_texts(service, 2, LONG_WORDS)
        with httpx.Client(base_url=service.url) as client:
            _typed(client, first)
            milliseconds, server_milliseconds = _typed(client, text)
    begin, end = statistics.median(milliseconds[:COMPARED]), statistics.median(milliseconds[-COMPARED:])
    return {
        "words": LONG_WORDS,
        "median of the first 50, ms": begin,
        "median of the last 50, ms": end,
        "last by first": end / begin,
        "server's median of all, ms": statistics.median(server_milliseconds),
    }


def _typed(client: httpx.Client, text: str) -> tuple[list[float], list[float]]:
    milliseconds, server = [], []
    for request in typed(text):
        started = time.perf_counter()
        answer = client.post("/next-word", json=request)
        milliseconds.append(1000 * (time.perf_counter() - started))
        answer.raise_for_status()
        server.append(total_milliseconds(answer.headers["Server-Timing"]))
    return milliseconds, server


def total_milliseconds(server_timing: str) -> float:
    return float(server_timing.rpartition("total;dur=")[2])
