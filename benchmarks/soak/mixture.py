"""Mixed traffic: typing, reviews streamed and not, scores, OpenAI's completions and probes; alike in each run."""

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.serve.traffic import typed_together


class Request(NamedTuple):
    path: str
    body: dict[str, Any] | None
    """None for a GET."""


TYPISTS = 16
SHARES = {"typing": 70, "review": 8, "streamed review": 6, "score": 6, "completion": 4, "streamed completion": 2}
"""Of a hundred requests; the others ask for /health."""
MAX_TOKENS = 30


def mixture(texts: list[str], model: str) -> Iterator[Request]:
    """Requests without end about texts of equal length, as many as a multiple of TYPISTS."""
    chance = random.Random(1)
    typing = itertools.cycle(typed_together(texts, TYPISTS))
    kinds = [*SHARES, "health"]
    shares = [*SHARES.values(), 100 - sum(SHARES.values())]
    for number in itertools.count():
        (kind,) = chance.choices(kinds, shares)
        yield (
            Request("/next-word", next(typing))
            if kind == "typing"
            else _other(kind, chance.choice(texts), number, model)
        )


def _other(kind: str, text: str, number: int, model: str) -> Request:
    beginning = " ".join(text.split(" ")[: number % 10])
    writing = {
        "prompt": beginning,
        "max_tokens": MAX_TOKENS,
        "seed": number,
        "stream": kind.startswith("streamed"),
    }
    if kind.endswith("review"):
        return Request("/generate", {**writing, "stars": 1 + number % 5})
    if kind.endswith("completion"):
        return Request("/v1/completions", {**writing, "model": model, "logprobs": number % 3})
    if kind == "score":
        return Request("/score", {"texts": [text, f"{beginning}."], "tokens": number % 2 == 0})
    return Request("/health", None)
