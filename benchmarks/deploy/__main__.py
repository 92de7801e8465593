"""The command line: `python -m benchmarks.deploy`, with `--debian` where no registry can be reached.

It needs Docker with Compose, and takes some minutes. Each step prints a line, and the exit status is 1 if one failed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from benchmarks.deploy.compose import Project, docker, project
from benchmarks.deploy.load import Load
from benchmarks.deploy.monitoring import Prometheus, draw

POSTGRES = "postgresql://review-lm:review-lm@postgres/review-lm"
KEY = "a-key-of-the-check"
REPLICAS = 3
ANSWERS = 300
"""Before, between and after what happens to the replicas."""

Step = Callable[[argparse.Namespace], dict[str, Any]]


def default(options: argparse.Namespace) -> dict[str, Any]:
    """`docker compose up`, stopped and started again: its log is still there."""
    with project("default", [], options.debian) as service:
        service.up("--build")
        healthy = service.wait_until_healthy("app")
        _ask(service)
        docker("restart", *service.containers("app"))
        service.wait_until_healthy("app")
        rows = docker("exec", *service.containers("app"), "python", "-m", "app.log", "--format", "jsonl").splitlines()
        logged = [json.loads(row)["route"] for row in rows]
        return {"healthy_seconds": healthy, "logged": logged, "ok": logged == ["/next-word"]}


def postgres(options: argparse.Namespace) -> dict[str, Any]:
    """The same with its log in PostgreSQL."""
    with project("postgres", ["postgres"], options.debian, DATABASE_URL=POSTGRES) as service:
        service.up("--build")
        service.wait_until_healthy("postgres")
        healthy = service.wait_until_healthy("app")
        _ask(service)
        docker("stop", *service.containers("app"))
        count = "select count(*) from requests"
        psql = ["psql", "--host=127.0.0.1", "--username=review-lm", "--tuples-only", "--no-align", f"--command={count}"]
        rows = int(docker("exec", "--env=PGPASSWORD=review-lm", *service.containers("postgres"), *psql))
        return {"healthy_seconds": healthy, "logged": rows, "ok": rows == 1}


def replicas(options: argparse.Namespace) -> dict[str, Any]:
    """Three behind the proxy, keys needed: one killed, then all replaced in turn, under load; Prometheus looks on."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_text(KEY)
        key.chmod(0o644)
        Path(folder).chmod(0o755)
        variables = {"DATABASE_URL": POSTGRES, "REVIEW_LM_API_KEYS": KEY, "METRICS_KEY_FILE": str(key)}
        profiles = ["postgres", "proxy", "monitoring"]
        with project("replicas", profiles, options.debian, **variables) as service:
            service.up("--build", "--scale", f"app={REPLICAS}", "app", "postgres", "proxy", "prometheus")
            service.wait_until_healthy("app", REPLICAS)
            prometheus = Prometheus(service.url("prometheus", 9090))
            prometheus.wait_for_replicas(REPLICAS)
            return _replace_under_load(service, prometheus, options.figure)


def _replace_under_load(service: Project, prometheus: Prometheus, figure: Path | None) -> dict[str, Any]:
    load, started, after = Load(service.url("proxy", 8080), KEY), time.monotonic(), {}
    with load.running():
        load.wait_for(ANSWERS)
        killed, *_ = service.containers("app")
        docker("kill", killed)
        load.wait_for(ANSWERS)
        after["kill"] = asdict(load.counts)
        docker("start", killed)
        service.wait_until_healthy("app", REPLICAS)
        for replica in service.containers("app"):
            docker("stop", replica)
            docker("rm", replica)
            service.up("--no-deps", "--no-recreate", "--scale", f"app={REPLICAS}", "app")
            service.wait_until_healthy("app", REPLICAS)
        load.wait_for(ANSWERS)
    after["replacements"] = asdict(load.counts)
    prometheus.wait_for_replicas(REPLICAS)
    rules = prometheus.rules()
    series = draw(prometheus, time.monotonic() - started, figure or Path("/dev/null"))
    good = load.counts.failed == load.counts.wrong == 0 and set(rules.values()) == {"ok"}
    shown = all(count for title, count in series.items() if title != "Errors")
    return {
        **after,
        "seconds": round(time.monotonic() - started),
        "rules": rules,
        "series": series,
        "ok": good and shown,
    }


def _ask(service: Project) -> None:
    answer = httpx.post(f"{service.url('app', 8000)}/next-word", json={"text": "The food was"}, timeout=30)
    answer.raise_for_status()


STEPS: dict[str, Step] = {"default": default, "postgres": postgres, "replicas": replicas}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deploy", description="Deploys on a real Docker engine.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; all unless told")
    parser.add_argument(
        "--debian", action="store_true", help="make images of Debian's packages instead of pulling them"
    )
    parser.add_argument("--figure", type=Path, help="PNG that the dashboard's panels are drawn to")
    options = parser.parse_args()
    if unknown := set(options.steps) - STEPS.keys():
        parser.error(f"no step: {', '.join(sorted(unknown))}")
    good = True
    for name in options.steps or STEPS:
        result = STEPS[name](options)
        print(f"{name}: {json.dumps(result)}", flush=True)
        good &= result["ok"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
