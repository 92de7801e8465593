"""One server through all kinds of traffic, one after the other."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.peers.processes import Running
from benchmarks.peers.traffic import Traffic, check
from benchmarks.serve.client import Answer, post
from benchmarks.serve.fairness import percentiles
from benchmarks.serve.load import paced, saturating
from benchmarks.serve.next_words import TYPISTS
from benchmarks.wrk import run_wrk

CLIENTS = (1, 8, 32)
SECONDS = {"warm-up": 1.5, "typing": 8.0, "unrelated": 6.0, "write": 4.5, "score": 5.0, "mixed": 7.0, "overload": 10.0}
"""Of each traffic, before they are scaled to the minutes there are.

`write` is done for each of CLIENTS, twice, and the warm-up for each of four endpoints.
"""
ALL_SECONDS = sum(SECONDS.values()) + 3 * SECONDS["warm-up"] + (2 * len(CLIENTS) - 1) * SECONDS["write"]
LEAST_SECONDS = {"typing": 4.0}
"""Of what the README tells, however few minutes there are."""
SCORING_CLIENTS = 4
VICTIMS = 4
MIXED_WRITERS, MIXED_SCORERS = 8, 2
SETTLED_SECONDS, LOOK_SECONDS, BUSY = 20.0, 0.3, 0.2
TIMES = 2
"""Of what a server can do, in overload."""
PATIENCE = 5.0
"""Seconds that a client waits for an answer in overload."""


def measure(running: Running, traffic: Traffic, scale: float) -> dict[str, Any]:
    """All that is measured of a server that has just started; `scale` stretches every traffic."""
    return asyncio.run(Measuring(running, traffic, scale).all())


@dataclass
class Measuring:
    """The measuring of one server.

    `texts` are those that were written alone, by the number of their request; `idle` is the share of a core that it
    takes for doing nothing.
    """

    running: Running
    traffic: Traffic
    scale: float
    texts: dict[int, Any] = field(default_factory=dict)
    seeds: Counter[str] = field(default_factory=Counter)
    idle: float = 0.0

    def seconds(self, name: str) -> float:
        return max(self.scale * SECONDS[name], LEAST_SECONDS.get(name, 0.0))

    async def all(self) -> dict[str, Any]:
        result: dict[str, Any] = {"cold start, s": self.running.cold_start}
        result["same text as the service"] = check(self.running.peer, self.running.server, self.traffic)
        await self.warm_up()
        if not self.running.peer.writes:
            result |= await self.typing()
        for stream, clients in itertools.product((False, True), CLIENTS):
            name = f"{'stream' if stream else 'generate'}-{clients}"
            result[name] = await self.writing(clients, stream)
        result["memory, MB"] = self.running.memory_bytes() / 1e6
        result["seeds"] = {"compared": self.seeds.total(), "equal": self.seeds["equal"]}
        if not self.running.peer.writes:
            result["score"] = await self.scoring()
            result["mixed"] = await self.mixed()
            capacity = result["generate-32"]["requests_per_second"]
            result["overload"] = await self.overload(TIMES * capacity)
        return result

    async def warm_up(self) -> None:
        """Has every worker of every endpoint work for a while, as all begin slowly.

        Those who type have then typed what stands before the words that are measured, as people have.
        """
        self.idle = await self.share()
        for stream in (False, True):
            await self.writing(max(CLIENTS), stream, "warm-up")
        if not self.running.peer.writes:
            await self.scoring("warm-up")
            self.typed(self.running.peer.typing(self.traffic.typing[:TYPISTS]), TYPISTS, "warm-up")
        self.texts.clear()
        self.seeds.clear()

    async def typing(self) -> dict[str, Any]:
        peer = self.running.peer
        asked = {
            "typing": peer.typing(self.traffic.typing[TYPISTS:]),
            "unrelated": [peer.body(each) for each in self.traffic.unrelated],
        }
        result = {}
        for name, bodies in asked.items():
            await self.settle()
            result[name] = self.typed(bodies, TYPISTS, name)
        return result

    def typed(self, bodies: list[Any], connections: int, name: str) -> dict[str, float]:
        with self.cpu() as per_thousand:
            found = run_wrk(f"{self.running.server.url}/next-word", bodies, connections, max(1.0, self.seconds(name)))
        if not found["requests"]:
            return {"requests_per_second": 0.0, "failed": found["failed"]}
        return found | {"cpu": per_thousand(found["requests"])}

    async def writing(self, clients: int, stream: bool, name: str = "write") -> dict[str, float]:
        """So many clients at all times, each with one text after the other; what was begun is waited for."""
        answers: list[Answer] = []
        bodies = itertools.cycle(enumerate(self.traffic.writing))

        async def write() -> None:
            number, body = next(bodies)
            answers.append(answer := await self.post("/generate", body, stream))
            if _whole(answer, stream):
                self.note_text(number, answer, stream)

        await self.settle()
        with self.cpu() as per_thousand:
            elapsed = await _timed(saturating(write, clients, self.seconds(name)))
        done = [answer for answer in answers if _whole(answer, stream)]
        tokens = sum(self.tokens(answer, stream) for answer in done)
        firsts = [Answer(seconds=answer.first_event) for answer in done if answer.first_event]
        return {
            "tokens_per_second": tokens / elapsed,
            "requests_per_second": len(done) / elapsed,
            "failed": len(answers) - len(done),
            "cpu": per_thousand(len(done)),
            **(percentiles(done) if done else {}),
            **{f"first_{name}": value for name, value in (percentiles(firsts) if firsts else {}).items()},
        }

    def note_text(self, number: int, answer: Answer, stream: bool) -> None:
        """Compares a seeded text with the first one of its seed, which was written alone."""
        pieces = answer.events if stream else self.running.peer.answer(answer.json)["reviews"]
        text = "".join(piece.get("text", "") for piece in pieces)
        self.seeds["equal" if self.texts.setdefault(number, text) == text else "different"] += 1

    def tokens(self, answer: Answer, stream: bool) -> int:
        told = answer.events[-1] if stream else self.running.peer.answer(answer.json)
        count: int = told["usage"]["generated_tokens"]
        return count

    async def scoring(self, name: str = "score") -> dict[str, float]:
        answers: list[Answer] = []
        bodies = itertools.cycle(self.traffic.scoring)

        async def score() -> None:
            answers.append(await self.post("/score", next(bodies)))

        await self.settle()
        with self.cpu() as per_thousand:
            elapsed = await _timed(saturating(score, SCORING_CLIENTS, self.seconds(name)))
        done = [answer for answer in answers if answer.status == 200]
        return {
            "requests_per_second": len(done) / elapsed,
            "failed": len(answers) - len(done),
            "cpu": per_thousand(len(done)),
            **(percentiles(done) if done else {}),
        }

    async def mixed(self) -> dict[str, float]:
        """A few who type, beside many who have texts written, whole and streamed, and who have some scored."""
        end = time.perf_counter() + self.seconds("mixed") + 1
        writing, scored = itertools.cycle(self.traffic.writing), itertools.cycle(self.traffic.scoring)

        async def again_and_again(path: str, bodies: Iterator[dict[str, Any]], stream: bool) -> None:
            while time.perf_counter() < end:
                await self.post(path, next(bodies), stream)

        heavy = [
            *(asyncio.create_task(again_and_again("/generate", writing, bool(n % 2))) for n in range(MIXED_WRITERS)),
            *(asyncio.create_task(again_and_again("/score", scored, False)) for _ in range(MIXED_SCORERS)),
        ]
        await asyncio.sleep(1)  # until all of them run
        typing = self.running.peer.typing(self.traffic.typing_beside)
        victims = await asyncio.to_thread(self.typed, typing, VICTIMS, "mixed")
        await asyncio.gather(*heavy)
        return victims

    async def overload(self, rate: float) -> dict[str, Any]:
        """Texts asked for at a steady rate that is too high; after PATIENCE a client gives up."""
        answers: list[tuple[str, Answer]] = []
        bodies = itertools.cycle(self.traffic.writing)

        async def ask() -> None:
            answer = Answer()
            try:
                answer = await asyncio.wait_for(self.post("/generate", next(bodies)), PATIENCE)
                answers.append((str(answer.status), answer))
            except TimeoutError:
                answers.append((f"none in {PATIENCE:.0f} s", answer))

        await self.settle()
        await paced(ask, rate, self.seconds("overload"))
        done = [answer for status, answer in answers if status == "200"]
        shares = {status: count / len(answers) for status, count in Counter(each for each, _ in answers).items()}
        return {"rate": rate, "shares": shares, **(percentiles(done) if done else {})}

    async def post(self, path: str, body: dict[str, Any], stream: bool = False) -> Answer:
        """An answer of status 0 where the connection broke."""
        try:
            return await post(self.running.server, *self.running.peer.request(path, body, stream))
        except (OSError, EOFError):
            return Answer()

    async def settle(self) -> None:
        """Waits until the server does nothing any more: requests whose clients left may still be worked on."""
        give_up = time.monotonic() + SETTLED_SECONDS
        while await self.share() > self.idle + BUSY and time.monotonic() < give_up:
            pass

    async def share(self) -> float:
        """The share of a core that the server takes now."""
        before, started = self.running.cpu_seconds(), time.perf_counter()
        await asyncio.sleep(LOOK_SECONDS)
        return (self.running.cpu_seconds() - before) / (time.perf_counter() - started)

    @contextmanager
    def cpu(self) -> Iterator[Callable[[float], float]]:
        """Yields what tells the processor time of the block in seconds for a thousand requests, of so many in all."""
        before = self.running.cpu_seconds()
        after = [0.0]
        yield lambda requests: 1000 * (after[0] - before) / max(1.0, requests)
        after[0] = self.running.cpu_seconds()


def _whole(answer: Answer, stream: bool) -> bool:
    return answer.status == 200 and (not stream or b"[DONE]" in answer.body)


async def _timed(work: Any) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started
