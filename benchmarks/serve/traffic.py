"""Texts that the model makes up, and requests as somebody who types them sends them."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.servers import Server

AT_ONCE = 16
"""Reviews of one request."""


def made_up_texts(server: Server, count: int, words: int) -> list[str]:
    """Texts of so many words each: reviews that the model writes, one after the other."""
    stream = _words(server)
    return [" ".join(itertools.islice(stream, words)) for _ in range(count)]


def _words(server: Server) -> Iterator[str]:
    for seed in itertools.count():
        for review in server.post("/generate", n=AT_ONCE, max_tokens=250, seed=seed)["reviews"]:
            yield from review["text"].split()


def typed(text: str) -> Iterator[dict[str, Any]]:
    """The requests of a keyboard: one after every word, with all words before and the space behind them."""
    words = text.split(" ")
    for count in range(1, len(words) + 1):
        yield {"text": " ".join(words[:count]) + " "}


def lettered(text: str) -> Iterator[dict[str, Any]]:
    """The requests of a keyboard that asks before each word and after every letter of it."""
    before = ""
    for word in text.split(" "):
        for count in range(len(word) + 1):
            yield {"text": before, "prefix": word[:count]}
        before += f"{word} "


def typed_together(
    texts: list[str], typists: int, keyboard: Callable[[str], Iterator[dict[str, Any]]] = typed
) -> list[dict[str, Any]]:
    """The requests of so many people who each type one text after the other, in turn, while all of them type."""
    requests: list[dict[str, Any]] = []
    for start in range(0, len(texts), typists):
        for keystroke in zip(*map(keyboard, texts[start : start + typists]), strict=False):
            requests += keystroke
    return requests
