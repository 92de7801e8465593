"""Gives the service another model again and again under full load: `python -m benchmarks.swap --swaps 50`.

Every answer is compared with what the model that it names answers when nobody else asks. Clients keep their
connections, and ask again as soon as they are answered.
"""

import argparse
import asyncio
import itertools
import json
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import torch

from benchmarks.servers import ROOT, Server, serving
from training.export import write_sums

TEXTS = ["The food was", "We waited for an hour and", "My dog liked the soup, I", "Never again:", "The staff is"]
PAUSE_SECONDS = 0.02
"""Between two looks at whether the new model answers."""

Asked = tuple[str, dict[str, Any]]


@dataclass
class Load:
    """What clients got."""

    answers: Counter[str] = field(default_factory=Counter)
    """By the model that they name."""
    failed: list[str] = field(default_factory=list)
    """Statuses and errors."""
    inconsistent: int = 0
    milliseconds: list[float] = field(default_factory=list)


def requests() -> list[Asked]:
    """Suggestions, scores, whole reviews and streams, so that each has one right answer."""
    return [
        request
        for seed, text in enumerate(TEXTS)
        for request in (
            ("/next-word", {"text": text, "k": 5}),
            ("/score", {"texts": [text, f"{text} good."], "tokens": True}),
            ("/generate", {"prompt": text, "seed": seed, "max_tokens": 30}),
            ("/generate", {"prompt": text, "seed": seed, "max_tokens": 60, "stream": True}),
            ("/next-word", {"text": f"{text} very ", "prefix": "g"}),
        )
    ]


def other_artifact(of: Path, folder: Path) -> Path:
    """A copy of an artifact whose model likes other words: its last bias is turned around."""
    shutil.copytree(of, folder)
    extra: dict[str, Any] = {"description.json": ""}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        module = torch.jit.load(str(of / "language_model.pt"), _extra_files=extra)
        with torch.no_grad():
            bias = module.output.bias
            bias.copy_(bias.flip(0) * 0.1 + bias)
        description = json.loads(extra["description.json"])
        description["model"] += "-other"
        told = {"description.json": json.dumps(description)}
        torch.jit.save(module, str(folder / "language_model.pt"), _extra_files=told)
    write_sums(folder)
    return folder


class Link:
    """The folder that the service reads: a link that leads to one artifact or the other."""

    def __init__(self, folder: Path, artifacts: list[Path]) -> None:
        self.path, self._following = folder / "model", folder / "following"
        self._artifacts = itertools.cycle(artifacts)
        self.turn()

    def turn(self) -> None:
        self._following.symlink_to(next(self._artifacts).absolute())
        self._following.replace(self.path)


async def _ask(client: httpx.AsyncClient, asked: Asked) -> tuple[str, Any]:
    """The model that an answer names, and all of the answer but what depends on who asked before."""
    path, body = asked
    response = await client.post(path, json=body)
    response.raise_for_status()
    if not body.get("stream"):
        answer = response.json()
        return answer["model"], {name: value for name, value in answer.items() if name != "usage"}
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    texts = "".join(event.get("text", "") for event in events)
    return events[-1]["model"], (texts, [event for event in events if "finish_reason" in event])


async def _answers(client: httpx.AsyncClient) -> tuple[str, list[Any]]:
    """What the model that answers says to each request when it is asked alone."""
    told = [await _ask(client, asked) for asked in requests()]
    (name,) = {name for name, _ in told}
    return name, [answer for _, answer in told]


async def _swap(service: Server, client: httpx.AsyncClient, link: Link) -> tuple[float, float]:
    """Seconds until all workers have the other model, and until nothing is left of the one before."""
    before = (await client.get("/health")).json()["model"]
    link.turn()
    began = time.monotonic()
    service.process.send_signal(signal.SIGHUP)
    switched = 0.0
    while True:
        workers = (await client.get("/health")).json()["workers"]
        if all(worker["model"] != before for worker in workers):
            switched = switched or time.monotonic() - began
            if not any(worker["finishing"] for worker in workers):
                return switched, time.monotonic() - began
        await asyncio.sleep(PAUSE_SECONDS)


async def _load(client: httpx.AsyncClient, first: int, expected: dict[str, list[Any]], load: Load) -> None:
    asked = requests()
    for number in itertools.count(first):
        place = number % len(asked)
        began = time.perf_counter()
        try:
            name, answer = await _ask(client, asked[place])
        except httpx.HTTPError as error:
            load.failed.append(repr(error))
            continue
        load.milliseconds.append(1000 * (time.perf_counter() - began))
        load.answers[name] += 1
        load.inconsistent += answer != expected[name][place]


async def _measure(service: Server, link: Link, swaps: int, clients: int) -> dict[str, Any]:
    load, times = Load(), []
    async with httpx.AsyncClient(
        base_url=service.url, timeout=120, limits=httpx.Limits(max_connections=None)
    ) as client:
        expected = dict([await _answers(client)])
        await _swap(service, client, link)
        expected |= [await _answers(client)]
        alike = sum(one == other for one, other in zip(*expected.values(), strict=True))
        running = [asyncio.create_task(_load(client, number, expected, load)) for number in range(clients)]
        memory = []
        for _ in range(swaps):
            times.append(await _swap(service, client, link))
            memory.append(_memory(service))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return _result(load, times, memory) | {"requests that both models answer alike": alike}


def _memory(service: Server) -> float:
    """MB of their own of all processes of the service, and their share of what they have in common."""
    processes = [service.process, *service.process.children()]
    return float(sum(process.memory_full_info().pss for process in processes) / 1e6)


def _result(load: Load, times: list[tuple[float, float]], memory: list[float]) -> dict[str, Any]:
    switched, gone = (sorted(each) for each in zip(*times, strict=True))
    latencies = sorted(load.milliseconds)
    return {
        "swaps": len(times),
        "answers": dict(load.answers),
        "failed": len(load.failed),
        "of another model than they name": load.inconsistent,
        "seconds until it answers, median and longest": [
            round(switched[len(switched) // 2], 2),
            round(switched[-1], 2),
        ],
        "seconds until the former is gone": [round(gone[len(gone) // 2], 2), round(gone[-1], 2)],
        "milliseconds of a request, p50, p99 and longest": [
            round(latencies[int(share * (len(latencies) - 1))], 1) for share in (0.5, 0.99, 1)
        ],
        "MB after the first swaps and the last": [round(each) for each in (*memory[:2], *memory[-2:])],
        "errors": sorted(set(load.failed))[:3],
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swap", description="Swaps the model under full load.")
    parser.add_argument("--swaps", type=int, default=50, help="how many (default 50)")
    parser.add_argument("--clients", type=int, default=16, help="that ask all the time (default 16)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service (default 1)")
    parser.add_argument("--artifact", type=Path, default=ROOT / "model", help="folder (default model)")
    parser.add_argument("--other", type=Path, help="folder of another; else one is made of the first")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        other = options.other or other_artifact(options.artifact, folder / "other")
        link = Link(folder, [options.artifact, other])
        with serving(model_directory=str(link.path), workers=str(options.workers)) as service:
            result = asyncio.run(_measure(service, link, options.swaps, options.clients))
    print(json.dumps({"workers": options.workers, "clients": options.clients, **result}, indent=1))
    return int(bool(result["failed"] or result["of another model than they name"]))


if __name__ == "__main__":
    sys.exit(main())
