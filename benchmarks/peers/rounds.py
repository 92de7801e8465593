"""Rounds in which every server is started, measured and stopped in its turn; what was measured is kept as it comes."""

import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.peers.installed import distribution
from benchmarks.peers.measure import ALL_SECONDS, measure
from benchmarks.peers.peers import OURS, PEERS, Peer
from benchmarks.peers.processes import running
from benchmarks.peers.traffic import Traffic, kept, made_up
from benchmarks.quality.results import machine

OTHER_SECONDS = 30.0
"""That a server's turn takes besides its traffic, as far as is known before the first: starting, checking, ending."""
LARGEST_SCALE = 1.5


@dataclass(frozen=True)
class Turn:
    number: int
    name: str

    def path(self, folder: Path) -> Path:
        return folder / f"round-{self.number}-{self.name}.json"


def turns(names: Sequence[str], rounds: int) -> list[Turn]:
    """Every server once a round, each round beginning with another."""
    return [
        Turn(number + 1, name)
        for number in range(rounds)
        for name in (*names[number % len(names) :], *names[: number % len(names)])
    ]


def run(folder: Path, names: Sequence[str], rounds: int, minutes: float) -> None:
    """Measures what has no result in `folder` yet, in about so many minutes."""
    end = time.monotonic() + 60 * minutes
    traffic = kept(folder) or _made_up(folder)
    left = [turn for turn in turns(names, rounds) if not turn.path(folder).exists()]
    others = [OTHER_SECONDS]
    while left:
        turn = left.pop(0)
        seconds = (end - time.monotonic()) / (len(left) + 1)
        scale = min(LARGEST_SCALE, max(0.1, (seconds - statistics.mean(others)) / ALL_SECONDS))
        print(f"round {turn.number}: {turn.name}", flush=True)
        started = time.monotonic()
        result = _measured(PEERS[turn.name], traffic, scale)
        if not PEERS[turn.name].writes:
            others.append(time.monotonic() - started - scale * ALL_SECONDS)
        turn.path(folder).write_text(json.dumps(result, indent=2) + "\n")


def _made_up(folder: Path) -> Traffic:
    with running(PEERS[OURS]) as service:
        return made_up(service.server, folder)


def _measured(peer: Peer, traffic: Traffic, scale: float) -> dict[str, Any]:
    with running(peer) as server:
        return {
            "measured": datetime.now(UTC).isoformat(timespec="minutes"),
            "machine": machine(),
            "python": platform.python_version(),
            "version": metadata.version(distribution(peer.packages[0])),
            "scale": scale,
            **measure(server, traffic, scale),
        }


def results(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What was measured of each server, a result for each round."""
    found = {name: sorted(folder.glob(f"round-*-{name}.json")) for name in PEERS}
    return {name: [json.loads(path.read_text()) for path in paths] for name, paths in found.items() if paths}
