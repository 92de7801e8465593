"""What the page does when the service is busy, not ready, closed to it or out of reach: it says so, and recovers."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Response, Route, expect

from tests.app.page.visits import Visits, expect_words, suggested
from tests.app.support import API_KEY, ENDLESS, Server, eventually, running_server


def type_on(page: Page, text: str = "The food was ") -> None:
    page.locator("#review").focus()
    page.keyboard.insert_text(text)


def status(page: Page, kind: str) -> None:
    expect(page.locator(f"#status[data-kind={kind}]")).to_be_visible()


def test_an_overloaded_service_is_left_alone_as_long_as_it_asked(visits: Visits, tmp_path: Path) -> None:
    limits = {"REVIEW_LM_MAX_WAITING_ROWS": "1", "REVIEW_LM_MAX_TOKENS": "10000000", "REVIEW_LM_DEADLINE_SECONDS": "10"}
    with running_server(tmp_path, **limits) as server:
        # Now, as later the page's own call may fill the service.
        begins, expected = suggested(server, ""), suggested(server, "The food was ", "so")
        page = visits.open(server, refusals=True)
        expect_words(page, begins)
        asked: list[Request] = []
        refused: list[Response] = []
        page.on("request", lambda request: asked.append(request) if request.url.endswith("/next-word") else None)
        page.on("response", lambda response: refused.append(response) if response.status == 429 else None)
        endless = {**ENDLESS, "max_tokens": 10_000_000, "stream": True}
        with server.client.stream("POST", "/generate", json=endless) as response:
            lines = response.iter_lines()
            next(lines)  # while it is written, nobody else is let in
            type_on(page)
            status(page, "overloaded")
            expect(page.locator("#status .countdown")).to_have_text(re.compile(r"^Again in \d s$"))
            type_on(page, "so")
        expect_words(page, expected)
        expect(page.locator("#status")).to_be_hidden()
    first = refused[0]
    wait = int(first.headers["retry-after"])
    assert wait >= 1
    refused_at = first.request.timing["startTime"] + first.request.timing["responseStart"]
    later = [each for each in asked if each.timing["startTime"] > refused_at]
    assert later
    assert min(each.timing["startTime"] for each in later) >= refused_at + 1000 * wait - 50  # clocks round


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (json.dumps({"type": "/problems/not-ready", "title": "The service is not ready"}), "application/problem+json"),
        ("<h1>Service Unavailable</h1>", "text/html"),
    ],
    ids=["the service", "a proxy before it"],
)
def test_a_service_that_is_not_ready_is_tried_again(
    visits: Visits, server: Server, content: str, content_type: str
) -> None:
    page = visits.open(server, refusals=True)
    expect_words(page, suggested(server, ""))
    refusals = iter(range(2))

    def refuse(route: Route) -> None:  # at the network: a service that starts or stops answers nothing to a browser
        if next(refusals, None) is None:
            route.continue_()
        else:
            route.fulfill(status=503, body=content, content_type=content_type)

    page.route("**/next-word", refuse)
    type_on(page)
    status(page, "not-ready")
    expect_words(page, suggested(server, "The food was "))
    expect(page.locator("#status")).to_be_hidden()
    assert next(refusals, None) is None


def test_who_is_offline_is_told_and_goes_on_when_back(visits: Visits, server: Server) -> None:
    page = visits.open(server, refusals=True)
    expect_words(page, suggested(server, ""))
    page.context.set_offline(True)
    type_on(page)
    status(page, "offline")
    expect(page.locator("#status")).to_contain_text("You are offline")
    expect(page.locator("#suggestions")).to_be_hidden()
    page.context.set_offline(False)
    expect_words(page, suggested(server, "The food was "))
    expect(page.locator("#status")).to_be_hidden()


def test_a_service_that_went_away_and_came_back(visits: Visits, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        page = visits.open(server, "#sample", refusals=True)
        port = str(server.port)
        expect(page.get_by_role("button", name="Write it")).to_be_visible()
    page.clock.install(time=0)
    page.clock.pause_at(1000)  # so that it is the button that tries again, however long a service takes to start
    page.locator("[name=seed]").fill("8")
    page.get_by_role("button", name="Write it").click()
    status(page, "offline")
    expect(page.locator("#status")).to_contain_text("The service cannot be reached")
    with running_server(tmp_path, REVIEW_LM_PORT=port) as server:
        page.get_by_role("button", name="Try now").click()
        page.clock.resume()
        expect(page.locator("#written")).to_have_attribute("aria-busy", "false")
        assert page.locator("#written .text").text_content() == server.post("/generate", seed=8)["reviews"][0]["text"]
        expect(page.locator("#status")).to_be_hidden()


def test_a_key_is_asked_for_and_kept_in_memory_only(visits: Visits, limited_server: Server) -> None:
    page = visits.open(limited_server, refusals=True)
    prompt = page.get_by_role("dialog", name="This service asks for a key")
    expect(prompt).to_be_visible()
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type("a-wrong-key")
    page.keyboard.press("Enter")
    expect(prompt.get_by_role("alert")).to_have_text("The service does not know that key.")
    page.keyboard.press("Escape")
    expect(prompt).to_be_hidden()
    status(page, "unauthorised")
    page.get_by_role("button", name="Enter a key").click()
    page.keyboard.type(API_KEY)
    page.keyboard.press("Enter")
    expect_words(page, suggested(limited_server, ""))
    expect(page.locator("#status")).to_be_hidden()
    kept = page.evaluate("[document.cookie, { ...localStorage }, { ...sessionStorage }, location.href]")
    assert kept == ["", {}, {}, f"http://127.0.0.1:{limited_server.port}/"]
    assert API_KEY not in page.content()
    assert page.get_by_label("API key").input_value() == ""
    page.reload()
    expect(prompt).to_be_visible()


def test_what_cannot_be_put_right_by_waiting_is_told(visits: Visits, limited_server: Server) -> None:
    page = visits.open(limited_server, "#sample?seed=2&max_tokens=60", refusals=True)
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(API_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#written")).to_have_attribute("aria-busy", "false")
    assert len(page.locator("#written .text").text_content() or "") > 50
    page.get_by_role("link", name="Colour it by surprise").click()
    status(page, "failed")
    expect(page.locator("#status")).to_contain_text("The request is not valid")
    expect(page.locator("#status")).to_contain_text("the limit is 50")
    page.locator("#scored-text").fill("It was fine.")
    expect(page.locator("#status")).to_be_hidden()
    expect(page.locator(".token.end")).to_be_visible()


def test_operators_see_the_state_of_the_service(visits: Visits, server: Server) -> None:
    for _ in range(2):
        server.post("/score", texts=["It was fine."])
    written = eventually(lambda: server.health()["log"]["written"])
    page = visits.open(server, "#about")
    expect(page.locator("#model")).to_contain_text("Statusready")
    logged = page.locator("#model .figures > div", has_text="Requests logged").locator("dd").first
    assert int(logged.inner_text().replace(",", "")) >= written
    expect(page.locator("#model .figures > div", has_text="Requests logged")).to_contain_text("0 lost, 0 deleted")
    expect(page.locator("#model .figures > div", has_text="Waiting to be logged")).to_contain_text("bytes")
    page.get_by_text("Its limits").click()
    expect(page.get_by_role("row", name="most characters").get_by_role("cell")).to_have_text("20,000")
