"""What Prometheus makes of the dashboard and the alert rules, asked by its HTTP API."""

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.servers import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "review-lm.json"
STEP_SECONDS = 5


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    queries: list[tuple[str, str]]
    """PromQL, as Grafana sends it, and the legend."""


def panels(window: str = "30s") -> list[Panel]:
    """The dashboard's, with `window` in the place of what Grafana makes of the time that it shows."""
    return [
        Panel(
            panel["title"],
            panel["fieldConfig"]["defaults"]["unit"],
            [
                (target["expr"].replace("$__rate_interval", window), target["legendFormat"])
                for target in panel["targets"]
            ],
        )
        for panel in json.loads(DASHBOARD.read_text())["panels"]
    ]


class Prometheus:
    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30)

    def wait_for_replicas(self, count: int) -> None:
        """Until so many are scraped without an error; raises RuntimeError if that takes too long."""
        give_up = time.monotonic() + 60
        while len(self.ask("query", query='up{job="review-lm"} == 1')["result"]) != count:
            if time.monotonic() > give_up:
                raise RuntimeError(f"not all are scraped: {self.ask('targets')['activeTargets']}")
            time.sleep(0.5)

    def ask(self, what: str, **parameters: Any) -> Any:
        """Raises httpx.HTTPError, or RuntimeError with Prometheus' own words about a query that is wrong."""
        page = self._client.get(f"/api/v1/{what}", params=parameters).json()
        if page["status"] != "success":
            raise RuntimeError(f"{parameters}: {page['error']}")
        return page["data"]

    def rules(self) -> dict[str, str]:
        """Alerts and their health: `ok` where the last evaluation found nothing wrong with the rule."""
        groups = self.ask("rules")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    def series(self, query: str, seconds: float) -> list[dict[str, Any]]:
        now = time.time()
        result: list[dict[str, Any]] = self.ask(
            "query_range", query=query, start=now - seconds, end=now, step=STEP_SECONDS
        )["result"]
        return result


def draw(prometheus: Prometheus, seconds: float, destination: Path) -> dict[str, int]:
    """Plots the last `seconds` of each panel; returns how many series each has."""
    shown = panels()
    figure = Figure(figsize=(14, 2.6 * len(shown) / 2), layout="constrained")
    figure.supxlabel("seconds before now", fontsize=8)
    places = figure.subplots(len(shown) // 2, 2).flat
    counts = {panel.title: _plot(axes, panel, prometheus, seconds) for axes, panel in zip(places, shown, strict=True)}
    figure.savefig(destination, dpi=80, format="png")
    return counts


def _plot(axes: Axes, panel: Panel, prometheus: Prometheus, seconds: float) -> int:
    axes.set_title(f"{panel.title} ({panel.unit})", fontsize=9, loc="left")
    count = 0
    for query, legend in panel.queries:
        for series in prometheus.series(query, seconds):
            times, values = zip(*((at, float(value)) for at, value in series["values"]), strict=True)
            axes.plot([at - time.time() for at in times], values, label=_named(legend, series["metric"]))
            count += 1
    if count:
        axes.legend(fontsize=7, loc="upper left")
    axes.set_ylim(bottom=0)
    return count


def _named(legend: str, labels: dict[str, str]) -> str:
    """A legend as Grafana fills it in."""
    return re.sub(r"{{(\w+)}}", lambda label: labels.get(label[1], ""), legend)
