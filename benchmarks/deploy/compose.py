"""A Compose project of its own, from a clean clone of the last commit, with ports that the system picks."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import ROOT

DEBIAN = "benchmarks/deploy/debian/docker-compose.yml"
HEALTHY_SECONDS = 180


@dataclass(frozen=True)
class Project:
    """Containers that run together: `up` brings them, and whoever made the project takes them down."""

    command: list[str]
    folder: Path
    variables: dict[str, str]

    def compose(self, *arguments: str) -> str:
        return _run([*self.command, *arguments], self.folder, self.variables)

    def up(self, *arguments: str) -> None:
        self.compose("up", "--detach", *arguments)

    def containers(self, service: str) -> list[str]:
        """Ids, those of stopped containers too."""
        labels = [f"com.docker.compose.project={self.command[self.command.index('-p') + 1]}"]
        labels.append(f"com.docker.compose.service={service}")
        filters = [argument for label in labels for argument in ("--filter", f"label={label}")]
        return docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()

    def url(self, service: str, port: int) -> str:
        """Where the first container of a service is reached from here."""
        first, *_ = docker("port", self.containers(service)[0], f"{port}/tcp").splitlines()
        return f"http://127.0.0.1:{first.rpartition(':')[2]}"

    def wait_until_healthy(self, service: str, count: int = 1) -> float:
        """Returns the seconds that it took; raises RuntimeError with their output if it takes too long."""
        started = time.monotonic()
        while [health(container) for container in self.containers(service)] != ["healthy"] * count:
            if time.monotonic() - started > HEALTHY_SECONDS:
                raise RuntimeError(f"{service} did not become healthy:\n{self.compose('logs', '--tail=20', service)}")
            time.sleep(0.2)
        return round(time.monotonic() - started, 1)


def health(container: str) -> str:
    state = json.loads(docker("inspect", "--format", "{{json .State}}", container))
    return str(state["Health"]["Status"]) if state["Running"] else "stopped"


def docker(*arguments: str) -> str:
    return _run(["docker", *arguments])


@contextmanager
def project(name: str, profiles: list[str], debian: bool, **variables: str) -> Iterator[Project]:
    """A clone that is built and can be brought up; with the block all of it goes, volumes too.

    `debian` puts images made of Debian's packages in the place of those that a registry has.
    """
    files = ["docker-compose.yml", *([DEBIAN] if debian else [])]
    command = [*_compose(), "-p", f"review-lm-check-{name}"]
    command += [argument for file in files for argument in ("-f", file)]
    command += [argument for profile in profiles for argument in ("--profile", profile)]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        _run(["git", "clone", "--quiet", str(ROOT), str(clone)])
        ports = dict.fromkeys(("PORT", "PROXY_PORT"), "127.0.0.1:0") | {"PROMETHEUS_PORT": "0", "GRAFANA_PORT": "0"}
        made = Project(command, clone, ports | variables)
        try:
            yield made
        finally:
            made.compose("down", "--volumes", "--timeout", "20")


def _compose() -> list[str]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


def _run(command: list[str], folder: Path = ROOT, variables: dict[str, str] | None = None) -> str:
    """What a command prints; raises RuntimeError with all of it if it fails."""
    environment = {"DOCKER_BUILDKIT": "0" if "docker-compose" in command else "1", **os.environ, **(variables or {})}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")
    return ran.stdout
