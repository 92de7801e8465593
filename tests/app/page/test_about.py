"""About this model: what the artifact holds is shown, what it lacks is left out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.app.page.artifacts import artifact_with, full_metrics
from tests.app.page.visits import Visits
from tests.app.support import ARTIFACT, Server, running_server

ALWAYS = ["This service", "Everything"]


@pytest.fixture(scope="module")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    artifact = artifact_with(tmp_path_factory.mktemp("full"), full_metrics())
    with running_server(tmp_path_factory.mktemp("server"), REVIEW_LM_MODEL_DIRECTORY=str(artifact)) as server:
        yield server


def part(page: Page, title: str) -> Any:
    return page.locator(".part").filter(has=page.get_by_role("heading", name=title, exact=True))


def headings(page: Page) -> list[str]:
    expect(part(page, "Everything")).to_be_visible()
    return page.locator(".part h2").all_inner_texts()


def test_the_shipped_models_figures(visits: Visits, server: Server) -> None:
    metrics = json.loads((ARTIFACT / "metrics.json").read_text())
    page = visits.open(server, "#about")
    assert headings(page)[0] == metrics["model"]
    expect(part(page, metrics["model"])).to_contain_text(f"{metrics['parameters']:,}")
    expect(part(page, metrics["model"])).to_contain_text(f"{metrics['corpus']['train']['reviews']:,}")
    row = page.get_by_role("row", name="test, int8")
    measured = metrics["quality"]["test"]["int8"]
    expect(row.get_by_role("cell")).to_have_text(
        [
            f"{measured['reviews']:,}",
            f"{measured['bits_per_character']:.4f}",
            f"{measured['perplexity_per_word']:.1f}",
            f"{measured['perplexity_per_token']:.1f}",
        ]
    )


def test_the_curve_is_drawn_and_told(visits: Visits, server: Server) -> None:
    curve = json.loads((ARTIFACT / "metrics.json").read_text())["curve"]
    page = visits.open(server, "#about")
    points = page.get_by_role("img", name="Training curve").locator(".line").get_attribute("points")
    places = [tuple(map(float, point.split(","))) for point in (points or "").split()]
    bits = [point["valid_bits_per_character"] for point in curve]
    assert len(places) == len(bits)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    # Down on the screen is a larger number, and fewer bits.
    assert sorted(range(len(bits)), key=lambda place: bits[place]) == pytest.approx(
        sorted(range(len(bits)), key=lambda place: -places[place][1])
    )
    part(page, "How it learnt").get_by_text("The numbers").click()
    rows = part(page, "How it learnt").locator("tbody td").all_inner_texts()
    assert rows == [f"{each:.4f}" for each in bits]


def test_everything_that_a_full_evaluation_measures(visits: Visits, full_server: Server) -> None:
    page = visits.open(full_server, "#about")
    expected = ["How well it predicts", "How it learnt", "By rating", "Next words", "What it writes", "Beside others"]
    assert set(expected) < set(headings(page))
    expect(part(page, "By rating").locator("tbody tr")).to_have_count(6)
    expect(part(page, "By rating")).to_contain_text("its true one for 61 % of 350 reviews")
    accuracy = part(page, "Next words").get_by_role("row", name="top-1 accuracy")
    expect(accuracy.get_by_role("cell")).to_have_text(["25 %", "21 %"])
    expect(part(page, "Next words").get_by_role("img")).to_have_count(2)
    expect(part(page, "What it writes")).to_contain_text("64 generated")
    expect(part(page, "Beside others").locator("tbody th")).to_have_text(["bigrams", "gzip"])
    part(page, "Everything").get_by_text("GET /model, whole").click()
    expect(part(page, "Everything").locator("pre")).to_contain_text("that nobody knows yet")


def assert_nothing_is_amiss(page: Page) -> None:
    shown = headings(page)
    assert shown[1:2] + shown[-1:] == ALWAYS
    assert "How it learnt" not in shown
    expect(page.locator("#model")).not_to_contain_text("undefined")
    expect(page.locator("#model")).not_to_contain_text("NaN")


def test_an_artifact_without_figures(visits: Visits, tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    with running_server(tmp_path, REVIEW_LM_MODEL_DIRECTORY=str(artifact_with(artifact, None))) as server:
        page = visits.open(server, "#about")
        assert_nothing_is_amiss(page)
        expect(part(page, "Everything")).to_contain_text("This artifact holds no metrics.json.")


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"curve": 5, "quality": {"test": None}, "evaluation": {"ratings": {}, "next_words": {"model": {}}}},
        {"curve": [{"tokens": 5}, {}], "quality": {"test": {"int8": {}, "float32": None}}, "comparison": [{}]},
        {"evaluation": {"next_words": {"model": {"words": 0, "words_by_rank": [], "calibration": [{}]}}}},
        {"evaluation": {"ratings": {"by_stars": {"1": {}}}, "writing": {"generated": {}, "real": {}}}},
    ],
    ids=["empty", "other types", "empty entries", "empty lists", "empty figures"],
)
def test_what_is_missing_is_left_out(visits: Visits, server: Server, metrics: dict[str, Any]) -> None:
    def other_figures(route: Route) -> None:  # at the network: a server of its own for each would take a minute
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"metrics": metrics})

    page = visits.open(server)
    page.route("**/model", other_figures)
    page.locator("nav").get_by_role("link", name="About").click()
    assert_nothing_is_amiss(page)
