"""What every server is asked, made up once by the service, and what the service answers to some of it."""

import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.peers import Peer
from benchmarks.serve.next_words import TYPISTS, WORDS, unrelated
from benchmarks.serve.traffic import made_up_texts, typed, typed_together
from benchmarks.servers import Server
from training.errors import TrainingError

TEXTS = 5 * TYPISTS
CHECKED = 6
SEEDS = 16
LENGTH = 150
"""Tokens of a generated text, if it does not end before."""
SCORED, CHARACTERS = 16, 500
CLOSE = 1e-3
"""By which scores may differ, in nats of a text."""


@dataclass(frozen=True)
class Traffic:
    """Texts that the model made up, and the service's answers to `checks`."""

    texts: list[str]
    answers: list[Any]

    @property
    def typing(self) -> list[dict[str, Any]]:
        """Keyboard sessions: TYPISTS at a time, a request after every word.

        At any moment they are at all places of their texts. If all began with a first word, a slow server, which comes
        to few words in its time, would be asked for short contexts alone.
        """
        sessions = [_typed_from(place, self.texts[place:-TYPISTS:TYPISTS]) for place in range(TYPISTS)]
        return list(itertools.chain.from_iterable(zip(*sessions, strict=True)))

    @property
    def typing_beside(self) -> list[dict[str, Any]]:
        """What those type who are there beside all other traffic, other texts from their beginnings on."""
        return typed_together(self.texts[-TYPISTS:], TYPISTS)

    @property
    def unrelated(self) -> list[dict[str, Any]]:
        return unrelated(self.texts)

    @property
    def writing(self) -> list[dict[str, Any]]:
        return writing(self.texts)

    @property
    def scoring(self) -> list[dict[str, Any]]:
        return scoring(self.texts)


def _typed_from(place: int, texts: list[str]) -> list[dict[str, Any]]:
    """One text typed after the other, from as far into the first as `place` is among TYPISTS; its beginning is last."""
    requests = list(itertools.chain.from_iterable(map(typed, texts)))
    begun = place * len(texts[0].split(" ")) // TYPISTS
    return [*requests[begun:], *requests[:begun]]


def writing(texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"prompt": " ".join(text.split(" ")[:3]), "seed": seed, "max_tokens": LENGTH}
        for seed, text in enumerate(texts[:SEEDS])
    ]


def scoring(texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"texts": [text[:CHARACTERS] for text in texts[start : start + SCORED]]}
        for start in range(0, 2 * TYPISTS, SCORED)
    ]


def checks(texts: list[str]) -> list[tuple[str, dict[str, Any]]]:
    contexts = [{"text": " ".join(text.split(" ")[: 5 * number]) + " "} for number, text in enumerate(texts[:CHECKED])]
    return [
        *(("/next-word", body) for body in contexts),
        *(("/score", body) for body in scoring(texts)[:2]),
        *(("/generate", body) for body in writing(texts)[:CHECKED]),
    ]


def made_up(service: Server, folder: Path) -> Traffic:
    """Has the service make it up, and keeps it for the rounds to come."""
    texts = made_up_texts(service, TEXTS, WORDS)
    traffic = Traffic(texts, [service.post(path, **body) for path, body in checks(texts)])
    folder.mkdir(parents=True, exist_ok=True)
    _file(folder).write_text(json.dumps(asdict(traffic)))
    return traffic


def kept(folder: Path) -> Traffic | None:
    return Traffic(**json.loads(_file(folder).read_text())) if _file(folder).exists() else None


def _file(folder: Path) -> Path:
    return folder / "made-up.json"


def check(peer: Peer, server: Server, traffic: Traffic) -> dict[str, int]:
    """Compares a peer's answers with the service's; returns how many seeded texts are the same.

    Raises TrainingError where suggestions or scores differ, as figures of something else would mean nothing.
    """
    asked = list(zip(checks(traffic.texts), traffic.answers, strict=True))
    for (path, body), expected in asked:
        if path == "/generate" or peer.writes:
            continue
        found = _answer(peer, server, path, body)
        if (difference := _difference(path, found, expected)) is not None:
            raise TrainingError(f"{peer.name} answers {path} otherwise than the service: {difference}; see its script.")
    written = [(body, expected) for (path, body), expected in asked if path == "/generate"]
    same = sum(_texts(_answer(peer, server, "/generate", body)) == _texts(expected) for body, expected in written)
    return {"compared": len(written), "equal": same}


def _answer(peer: Peer, server: Server, path: str, body: dict[str, Any]) -> Any:
    where, asked = peer.request(path, body)
    return peer.answer(server.posted(where, asked))


def _difference(path: str, found: Any, expected: Any) -> str | None:
    if path == "/next-word":
        words, wanted = ([each["word"] for each in answer["suggestions"]] for answer in (found, expected))
        return None if words == wanted else f"{words} for {wanted}"
    pairs = zip(found["scores"], expected["scores"], strict=True)
    far = max(abs(ours["log_probability"] - theirs["log_probability"]) for ours, theirs in pairs)
    return None if far < CLOSE else f"scores differ by {far:.3g} nats"


def _texts(answer: Any) -> list[str]:
    return [review["text"] for review in answer["reviews"]]
