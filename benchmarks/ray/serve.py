"""The service as deploy/ray/serve.yaml says, on two nodes: every route, and a replica that is killed under load."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.ray.nodes import Worker, two_nodes, workers
from benchmarks.servers import ROOT, ending, serving

REPLICA = "ServeReplica:review-lm:ReviewLM"
PAGES = ("/", "/docs", "/openapi.json", "/static/client.js", "/health", "/livez", "/readyz", "/metrics", "/model")
POSTS: list[tuple[str, dict[str, Any]]] = [
    ("/next-word", {"text": "The food was", "k": 3}),
    ("/next-word", {"text": "The food was", "k": 500}),
    ("/score", {"texts": ["I loved it.", "it loved I ."], "tokens": True}),
    ("/generate", {"prompt": "The pizza", "stars": 5, "max_tokens": 20, "seed": 7}),
    ("/generate", {"prompt": "The pizza", "stars": 5, "max_tokens": 20, "seed": 7, "stream": True}),
    ("/v1/completions", {"model": "", "prompt": "The pizza", "max_tokens": 20, "seed": 7}),
    ("/v1/completions", {"model": "", "prompt": "The pizza", "max_tokens": 20, "seed": 7, "stream": True}),
    ("/v1/completions", {"model": "another", "prompt": "The pizza"}),
]
CLIENTS = 16
STARTING_SECONDS = 240
AFTER = 200
"""Answers before the killing, and again after a new replica is there."""
OWN = {"usage", "id", "created"}
"""Fields of an answer that depend on what was asked before, and when."""


def serve() -> dict[str, Any]:
    """Compares the routes of two replicas with `python -m app`, then kills one of them under load."""
    # One proxy, as both nodes have one address here; it would ask the replica beside it alone while that has room.
    os.environ["RAY_SERVE_PROXY_PREFER_LOCAL_NODE_ROUTING"] = "0"
    with serving() as plain, two_nodes() as address, _deployed(address) as url:
        replicas = _both_replicas()
        equal = _equal_answers(plain.url, url)
        pages = {path: httpx.get(url + path).status_code for path in PAGES}
        result = asyncio.run(_kill_under_load(url, replicas))
    return {
        "nodes with a replica": len({replica.node for replica in replicas}),
        "routes with GET": pages,
        "routes with POST, and whether they answer as one process does": equal,
        **result,
    }


@contextmanager
def _deployed(address: str) -> Iterator[str]:
    """Runs the deployment until the end of the block, on a port of its own and with a log of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text())
    config |= {
        "proxy_location": "HeadOnly",
        "http_options": config["http_options"] | {"host": "127.0.0.1", "port": port},
    }
    with tempfile.TemporaryDirectory(prefix="serve-") as name:
        variables = {
            "REVIEW_LM_MODEL_DIRECTORY": str(ROOT / "model"),
            "DATABASE_URL": f"sqlite:///{name}/requests.sqlite3",
        }
        config["applications"][0]["runtime_env"] = {"env_vars": variables}
        path = Path(name) / "serve.yaml"
        path.write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "ray.serve.scripts", "run", str(path), "--address", address]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with ending(process):
            url = f"http://127.0.0.1:{port}"
            _wait(lambda: process.poll() is None and _ready(url), STARTING_SECONDS)
            yield url


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _wait(condition: Any, seconds: float) -> Any:
    give_up = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise RuntimeError("the deployment did not come up in time")
        time.sleep(0.1)
    return value


def _both_replicas() -> list[Worker]:
    found: list[Worker] = _wait(lambda: len(found := workers(REPLICA)) >= 2 and found, STARTING_SECONDS)
    return found


def _equal_answers(plain: str, url: str) -> dict[str, bool]:
    (model,) = httpx.get(f"{url}/v1/models").json()["data"]
    told = {}
    for number, (path, body) in enumerate(POSTS):
        asked = body | ({"model": model["id"]} if body.get("model") == "" else {})
        name = f"{number + 1} {path}{' streamed' if body.get('stream') else ''}"
        told[name] = _told(plain + path, asked) == _told(url + path, asked)
    return told


def _told(url: str, body: dict[str, Any]) -> Any:
    """Status, request id and answer; of a stream, its text and how it ended."""
    answer = httpx.post(url, json=body, headers={"X-Request-ID": "compared"}, timeout=60)
    if not body.get("stream"):
        return answer.status_code, answer.headers["x-request-id"], _lasting(answer.json())
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if "{" in line]
    # How the text is cut into pieces depends on when they are sent.
    told = [choice for event in events for choice in event.get("choices", [event])]
    ends = [choice.get("finish_reason") for choice in told if choice.get("finish_reason")]
    return answer.status_code, answer.headers["x-request-id"], "".join(choice.get("text", "") for choice in told), ends


def _lasting(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in OWN}


async def _kill_under_load(url: str, replicas: list[Worker]) -> dict[str, Any]:
    load = _Load(url)
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        expected = (await client.post("/score", json=load.body)).json()["scores"]
        asking = [asyncio.create_task(load.ask(client, expected)) for _ in range(CLIENTS)]
        await load.answered(AFTER)
        replicas[0].process.kill()
        seconds = await _until_replaced(client)
        await load.answered(load.count + AFTER)
        load.ended = True
        await asyncio.gather(*asking)
    return {
        "answers": load.count,
        "of these with other bits": load.different,
        "answers that failed when a replica was killed": load.failed,
        "of these, failed again when tried once more": load.failed_again,
        "seconds until a new replica answered": seconds,
    }


async def _until_replaced(client: httpx.AsyncClient) -> float:
    """Until a replica answers that has begun since; every replica is asked in its turn."""
    began = time.monotonic()
    while time.monotonic() < began + STARTING_SECONDS:
        with contextlib.suppress(httpx.TransportError):
            answer = await client.get("/health")
            if answer.status_code == 200 and answer.json()["uptime_seconds"] < time.monotonic() - began:
                return round(time.monotonic() - began, 1)
        await asyncio.sleep(0.1)
    raise RuntimeError("the replica was not replaced")


class _Load:
    def __init__(self, url: str) -> None:
        self.body = {"texts": ["The soup was cold, but the waiter brought another one at once."]}
        self.count = self.different = self.failed = self.failed_again = 0
        self.ended = False

    async def ask(self, client: httpx.AsyncClient, expected: Any) -> None:
        while not self.ended:
            scores = await self._scores(client)
            if scores is None:
                self.failed += 1
                scores = await self._scores(client)
                self.failed_again += scores is None
            self.count += scores is not None
            self.different += scores not in (None, expected)

    async def _scores(self, client: httpx.AsyncClient) -> Any:
        try:
            answer = await client.post("/score", json=self.body)
        except httpx.TransportError:
            return None
        return answer.json()["scores"] if answer.status_code == 200 else None

    async def answered(self, count: int) -> None:
        while self.count < count:
            await asyncio.sleep(0.01)
