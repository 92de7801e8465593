"""Servers as processes of their own, each on a free port."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[1]
SERVICE = "app"
STARTING_SECONDS = 120


@dataclass(frozen=True)
class Server:
    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a request that has to succeed."""
        return self.posted(path, body)

    def posted(self, path: str, body: Any) -> Any:
        """The same for a body that is no object."""
        answer = httpx.post(self.url + path, json=body, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def metric(self, name: str) -> float:
        """The value of a metric of ours that has no labels."""
        return metric_in(httpx.get(f"{self.url}/metrics").text, name)

    @property
    def resident_bytes(self) -> int:
        memory: int = self.process.memory_info().rss
        return memory


def metric_in(page: str, name: str) -> float:
    """The same on a page of metrics."""
    found = re.search(rf"^review_lm_{name} (\S+)$", page, re.MULTILINE)
    assert found, f"{name} is no metric"
    return float(found[1])


@contextmanager
def serving(module: str = SERVICE, database: str | None = None, **settings: str) -> Iterator[Server]:
    """Runs `python -m module` until the end of the block; `settings` are REVIEW_LM_ variables without that prefix.

    `database` is where its log goes, which else ends with the block.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("REVIEW_LM_")}
    with tempfile.TemporaryDirectory() as directory:
        own = {"REVIEW_LM_PORT": "0", "DATABASE_URL": database or f"sqlite:///{directory}/requests.sqlite3"}
        variables = {f"REVIEW_LM_{name.upper()}": value for name, value in settings.items()}
        output = Path(directory) / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", module], cwd=ROOT, env=inherited | own | variables, stdout=file, stderr=file
            )
        with ending(process):
            yield Server(_port(process, output), psutil.Process(process.pid))


@contextmanager
def ending(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Ends a process with the block: asks it to, and kills it if it does not."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def _port(process: "subprocess.Popen[bytes]", output: Path) -> int:
    """Waits until the server answers."""
    give_up = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        if announced := re.search(r"listening on http://127\.0\.0\.1:(\d+)", output.read_text()):
            try:
                httpx.get(f"http://127.0.0.1:{announced[1]}/readyz")  # 404 where there is no such page is an answer
            except httpx.TransportError:
                pass
            else:
                return int(announced[1])
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start:\n{output.read_text()}")
