"""The dashboard and the alert rules ask for what the running service tells, and say what they are meant to."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.deploy.monitoring import DASHBOARD, panels
from tests.app.support import ROOT, Server, running_server

PROMETHEUS = ROOT / "deploy" / "prometheus"
OF_THE_SCRAPER = {"up"}
"""Metrics that Prometheus makes itself."""
LABELS_OF_THE_SCRAPER = {"job", "instance"}
STATUSES = {str(status.value) for status in HTTPStatus}

Labels = dict[str, dict[str, set[str]]]
"""The values of each label of each metric."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def exposed(server: Server) -> Labels:
    """What GET /metrics tells once every kind of work was done."""
    server.post("/next-word", text="The food was")
    server.post("/score", texts=["I loved it."])
    server.post("/generate", max_tokens=3, seed=1)
    server.post("/v1/completions", model=server.health()["model"], prompt="The", max_tokens=2)
    found: Labels = {}
    for family in text_string_to_metric_families(server.client.get("/metrics").text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


QUERIES = [query for panel in panels() for query, _ in panel.queries] + [rule["expr"] for rule in alerts()]


def test_the_dashboard_shows_what_an_operator_asks_for() -> None:
    titles = " ".join(panel.title for panel in panels())
    for asked in ("Requests", "Errors", "latency", "Queue", "Batch size", "Cache hits", "Tokens per second"):
        assert asked in titles


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_that_is_asked_for_is_there(exposed: Labels, query: str) -> None:
    selectors: list[promql_parser.VectorSelector] = []
    groupings: list[str] = []

    def look(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            selectors.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            groupings.extend(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(query), look)
    assert selectors
    for selector in selectors:
        assert selector.name in exposed.keys() | OF_THE_SCRAPER
        known = exposed.get(str(selector.name), {})
        assert set(groupings) <= known.keys() | LABELS_OF_THE_SCRAPER
        for matcher in selector.matchers.matchers:
            if matcher.name not in LABELS_OF_THE_SCRAPER:
                possible = STATUSES if matcher.name == "status" else known[matcher.name]
                assert any(re.fullmatch(matcher.value, value) for value in possible), matcher


def test_every_alert_says_why_it_is_there_and_what_to_do() -> None:
    text = (PROMETHEUS / "alerts.yml").read_text()
    for rule in alerts():
        assert rule["annotations"].keys() == {"summary", "action"}
        after = text.partition(f"alert: {rule['alert']}\n")[2]
        assert after.lstrip().startswith("# "), rule["alert"]


def test_grafanas_types_know_every_field_of_the_dashboard() -> None:
    """Read into Grafana's own types and written again, the dashboard is the same but for defaults that are added."""
    register_default_plugins()
    written = json.loads(DASHBOARD.read_text())
    read: Any = Dashboard.from_json(written)
    _assert_within(written, json.loads(JSONEncoder(sort_keys=True).encode(read)), "dashboard")


def _assert_within(part: Any, whole: Any, place: str) -> None:
    if isinstance(part, dict):
        for name, value in part.items():
            assert name in whole, f"{place}.{name} is no field"
            _assert_within(value, whole[name], f"{place}.{name}")
    elif isinstance(part, list):
        assert len(part) == len(whole), place
        for number, (one, other) in enumerate(zip(part, whole, strict=True)):
            _assert_within(one, other, f"{place}[{number}]")
    else:
        assert part == whole, place


def test_panels_take_their_data_from_the_source_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((ROOT / "deploy" / "grafana" / "datasource.yml").read_text())["datasources"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (Debian: apt-get install prometheus)"
)
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "--syntax-only", "--lint-fatal", PROMETHEUS / "prometheus.yml"],
        ["check", "rules", "--lint-fatal", PROMETHEUS / "alerts.yml"],
        ["test", "rules", Path(__file__).parent / "alerts_test.yml"],
    ],
    ids=["config", "rules", "alerts"],
)
def test_prometheus_own_tool_finds_nothing_wrong(arguments: list[str | Path]) -> None:
    checked = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_empty_key_is_no_refusal_where_none_is_needed(server: Server) -> None:
    """Prometheus sends it, as docker-compose.yml mounts an empty file unless it is told of a key."""
    assert server.client.get("/metrics", headers={"Authorization": "Bearer"}).status_code == 200
