"""Suggestions at every letter, as keyboards ask for them, beside those at every word."""

import itertools
import statistics
from typing import Any

from benchmarks.serve.next_words import ROUNDS, TYPISTS, WARM_UP_SECONDS, measured, medians, ratios
from benchmarks.serve.traffic import lettered, made_up_texts, typed, typed_together
from benchmarks.servers import Server, serving
from benchmarks.wrk import one_by_one, run_wrk

WORDS, LETTERED_WORDS = 150, 40
"""Of each text, asked for word by word, or letter by letter."""
TEXTS = ROUNDS * TYPISTS
ALONE_TEXTS = 4
"""What one person types, letter by letter and to the end."""


def letters(seconds: float) -> dict[str, Any]:
    """People who type letter by letter beside others who ask at every word: 64 of them, and one alone.

    Requests per second are medians of ROUNDS rounds, in each of which both are measured in turn; of one person's
    keystrokes the server's own time is told. Each is sent as soon as the one before is answered.
    """
    with serving() as service:
        # Texts of their own each, so that none asks for what another did.
        texts = made_up_texts(service, 1 + ALONE_TEXTS + 2 * TEXTS, WORDS)
        alone = _alone(service, *texts[: 1 + ALONE_TEXTS])
        short = [" ".join(text.split(" ")[:LETTERED_WORDS]) for text in texts[-TEXTS:]]
        loads = {
            "letters": typed_together(short, TYPISTS, lettered),
            "words": typed_together(texts[-2 * TEXTS : -TEXTS], TYPISTS),
        }
        for requests in loads.values():
            run_wrk(f"{service.url}/next-word", requests[-2000:], TYPISTS, WARM_UP_SECONDS)
        rounds = [
            {name: measured(service, requests, number, seconds) for name, requests in loads.items()}
            for number in range(ROUNDS)
        ]
    rates = {name: [each[name]["requests_per_second"] for each in rounds] for name in loads}
    return {
        **{f"64 people, {name}": medians([each[name] for each in rounds]) for name in loads},
        "letters by words, requests per second": ratios(rates["letters"], rates["words"]),
        **alone,
    }


def _alone(service: Server, warm_up: str, *texts: str) -> dict[str, Any]:
    url = f"{service.url}/next-word"
    one_by_one(url, [*typed(warm_up), *lettered(warm_up)])
    told: dict[str, list[float]] = {"before a word": [], "after its first letter": [], "after another letter": []}
    for text in texts:
        requests = list(lettered(text))
        for request, answer in zip(requests, one_by_one(url, requests), strict=True):
            keystroke = list(told)[min(len(request["prefix"]), 2)]
            told[keystroke].append(answer.server_milliseconds)
    after_letters = list(itertools.chain(*list(told.values())[1:]))
    return {
        **{f"the server's median {name}, ms": statistics.median(times) for name, times in told.items()},
        "the server's 99th percentile after a letter, ms": statistics.quantiles(after_letters, n=100)[-1],
        "a letter by a word, the server's medians": statistics.median(after_letters)
        / statistics.median(told["before a word"]),
    }
