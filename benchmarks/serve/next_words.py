"""Suggestions while somebody types: requests per second, and what a keystroke at the end of a long text costs."""

import itertools
import random
import statistics
import time
from contextlib import ExitStack
from typing import Any

import httpx

from benchmarks.serve.traffic import made_up_texts, typed, typed_together
from benchmarks.servers import SERVICE, Server, serving
from benchmarks.wrk import one_by_one, run_wrk, total_milliseconds

TYPISTS = 64
WORDS = 150
ROUNDS = 5
TEXTS = ROUNDS * TYPISTS
WARM_UP_SECONDS = 2
PLAIN_STRIDE = 15
LONG_WORDS, LONG_TEXTS = 500, 7
COMPARED = 50
"""Requests at the beginning of a long text, and as many at its end."""
PACED, PAUSE_SECONDS = 100, 0.2
"""Requests of one who types as people do, and the time between two."""


def throughput(seconds: float) -> dict[str, Any]:
    """Requests per second at 64 connections: the service, an empty endpoint, and the plain way, on the same traffic.

    All servers stand ready and are measured in turn, so that a slow moment of the machine strikes each; medians of
    ROUNDS rounds, and for the ratios the smallest and the largest of a round.
    """
    with ExitStack() as servers:
        ours = servers.enter_context(serving())
        empty = servers.enter_context(serving("benchmarks.beside.empty"))
        plain = servers.enter_context(serving("benchmarks.beside.plain"))
        uncached = servers.enter_context(serving(SERVICE, cache_bytes="0"))
        texts = made_up_texts(ours, TEXTS, WORDS)
        typing = typed_together(texts, TYPISTS)
        loads = {
            "typing": (ours, typing),
            "empty endpoint": (empty, typing),
            # So slow that it would not get beyond the first words: every fifteenth request, of contexts of all lengths.
            "plain way": (plain, typing[::PLAIN_STRIDE]),
            "unrelated contexts of 1 to 200 words, nothing cached": (uncached, unrelated(texts)),
        }
        for server, requests in loads.values():
            # The last requests are the warm-up, so that what is measured is not known already.
            run_wrk(f"{server.url}/next-word", requests[-2000:], TYPISTS, WARM_UP_SECONDS)
        rounds = [{name: measured(*load, number, seconds) for name, load in loads.items()} for number in range(ROUNDS)]
    rates = {name: [each[name]["requests_per_second"] for each in rounds] for name in loads}
    return {
        **{name: medians([each[name] for each in rounds]) for name in loads},
        "share of the empty endpoint": ratios(rates["typing"], rates["empty endpoint"]),
        "times the plain way": ratios(rates["typing"], rates["plain way"]),
    }


def measured(server: Server, requests: list[dict[str, Any]], number: int, seconds: float) -> dict[str, float]:
    """What wrk tells of the requests of round `number` at TYPISTS connections."""
    part = len(requests) // ROUNDS  # each round has requests of its own
    return run_wrk(f"{server.url}/next-word", requests[number * part : (number + 1) * part], TYPISTS, seconds)


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def ratios(ours: list[float], theirs: list[float]) -> dict[str, float]:
    ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
    return {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}


def unrelated(texts: list[str]) -> list[dict[str, Any]]:
    """Requests of people who have nothing to do with each other: contexts of 1 to 200 words from anywhere in these."""
    chance = random.Random(1)
    words = " ".join(texts).split(" ")
    starts = [chance.randrange(len(words) - 200) for _ in range(5000)]
    return [{"text": " ".join(words[start : start + chance.randint(1, 200)])} for start in starts]


def long_text() -> dict[str, Any]:
    """One person types long texts: the median request at the beginning, at the end, and the server's own time.

    Medians of LONG_TEXTS texts, as 50 requests are a fifth of a second, in which a machine may have a slow moment. Each
    word is sent as soon as the one before is answered; those of another text come at a person's pace, in whose pauses
    whatever else runs on the machine takes the caches.
    """
    with serving() as service:
        warm_up, *texts, paced = made_up_texts(service, 2 + LONG_TEXTS, LONG_WORDS)
        url = f"{service.url}/next-word"
        one_by_one(url, list(typed(warm_up)))
        answers = [one_by_one(url, list(typed(text))) for text in texts]
        with httpx.Client(base_url=service.url) as client:
            at_a_pace = [_after_a_pause(client, request) for request in itertools.islice(typed(paced), PACED)]
    begin = [statistics.median(each.milliseconds for each in text[:COMPARED]) for text in answers]
    end = [statistics.median(each.milliseconds for each in text[-COMPARED:]) for text in answers]
    return {
        "texts": LONG_TEXTS,
        "words of each": LONG_WORDS,
        "median of the first 50, ms": statistics.median(begin),
        "median of the last 50, ms": statistics.median(end),
        "last by first": ratios(end, begin),
        "server's median of all, ms": statistics.median(each.server_milliseconds for text in answers for each in text),
        f"server's median after a pause of {1000 * PAUSE_SECONDS:.0f} ms, ms": statistics.median(at_a_pace),
    }


def _after_a_pause(client: httpx.Client, request: dict[str, Any]) -> float:
    time.sleep(PAUSE_SECONDS)
    answer = client.post("/next-word", json=request).raise_for_status()
    return total_milliseconds(answer.headers["Server-Timing"])
