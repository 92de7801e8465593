"""Sample: reviews streamed as they are written, and links that write them again."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.app.page.visits import Visits, expect_coloured
from tests.app.support import Server, eventually

LONG = {"temperature": 1.5, "top_p": 1.0, "max_tokens": 1000, "seed": 31}
"""A review that takes a while to write."""


def review(server: Server, **asked: Any) -> str:
    text: str = server.post("/generate", **asked)["reviews"][0]["text"]
    return text.lstrip()


def written(page: Page) -> str:
    return page.locator("#written .text").text_content() or ""


def wait_until_written(page: Page) -> None:
    expect(page.locator("#written")).to_have_attribute("aria-busy", "false")


def link(settings: dict[str, Any]) -> str:
    return "#sample?" + "&".join(f"{name}={value}" for name, value in settings.items())


@pytest.fixture
def page(visits: Visits, server: Server) -> Page:
    return visits.open(server, "#sample", permissions=["clipboard-read", "clipboard-write"])


def fill(page: Page, **settings: Any) -> None:
    for name, value in settings.items():
        page.locator(f"[name={name}]").fill(str(value))


def test_a_review_is_that_of_its_settings(page: Page, server: Server) -> None:
    page.get_by_role("radio", name="4 stars").check()
    fill(page, temperature=0.6, top_p=0.9, max_tokens=30, seed=11)
    page.get_by_role("button", name="Write it").click()
    wait_until_written(page)
    expected = server.post("/generate", stars=4, temperature=0.6, top_p=0.9, max_tokens=30, seed=11)
    assert written(page) == expected["reviews"][0]["text"].lstrip()
    expect(page.locator("#written .facts")).to_contain_text(f"{expected['usage']['generated_tokens']} tokens")
    expect(page.locator("#written .facts")).to_contain_text("Seed 11")
    expect(page.locator("#written .written-stars")).to_have_text("★★★★☆ 4 stars")


def test_the_text_grows_as_it_is_written_and_stops_when_told(page: Page, server: Server) -> None:
    whole = review(server, **LONG)
    # Stops as soon as there are a few words; how many, the machine decides.
    page.evaluate("""() => {
        window.lengths = [];
        window.watch = new MutationObserver(() => {
            window.lengths.push(document.querySelector("#written .text").textContent.length);
            if (window.lengths.length > 5) document.querySelector("#stop").click();
        });
        window.watch.observe(document.querySelector("#written .text"), { childList: true });
    }""")
    fill(page, **LONG)
    page.get_by_role("button", name="Write it").click()
    wait_until_written(page)
    expect(page.locator("#written .facts")).to_have_text("Stopped. Seed 31.")
    lengths = page.evaluate("window.lengths")
    assert sorted(lengths) == lengths
    assert len(set(lengths)) > 3
    assert whole.startswith(written(page))
    assert 0 < len(written(page)) < len(whole)
    eventually(lambda: server.health()["rows"] == 0)
    page.evaluate("window.watch.disconnect()")
    page.get_by_role("button", name="Write it").click()
    wait_until_written(page)
    assert written(page) == whole


def test_the_same_link_gives_the_same_text(page: Page, visits: Visits, server: Server) -> None:
    page.get_by_role("radio", name="1 star", exact=True).check()
    fill(page, temperature=1.2, max_tokens=40)
    page.get_by_role("button", name="Write it").click()  # with a seed that the page draws
    wait_until_written(page)
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    asked = parse_qs(urlsplit(copied).fragment.partition("?")[2])
    assert asked["stars"] == ["1"]
    assert asked["temperature"] == ["1.2"]
    assert asked["max_tokens"] == ["40"]
    again = visits.open(server, "#" + urlsplit(copied).fragment)
    wait_until_written(again)
    assert written(again) == written(page) != ""
    expect(again.locator("[name=seed]")).to_have_value(asked["seed"][0])
    expect(again.get_by_role("radio", name="1 star", exact=True)).to_be_checked()


def test_another_is_another(page: Page) -> None:
    fill(page, max_tokens=30, temperature=1)
    texts, seeds = set(), set()
    for name in ("Write it", "Another", "Another"):
        page.get_by_role("button", name=name).click()
        wait_until_written(page)
        texts.add(written(page))
        seeds.add(page.locator("[name=seed]").input_value())
    assert (len(texts), len(seeds)) == (3, 3)


def test_the_text_can_be_copied_and_coloured(page: Page) -> None:
    fill(page, max_tokens=20, seed=5)
    page.get_by_role("button", name="Write it").click()
    wait_until_written(page)
    text = written(page)
    page.get_by_role("button", name="Copy text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == text
    page.get_by_role("link", name="Colour it by surprise").click()
    expect_coloured(page, text)


def test_a_link_of_another_model_says_so(visits: Visits, server: Server) -> None:
    page = visits.open(server, link({"max_tokens": 5, "seed": 1, "model": "lstm-of-old"}))
    wait_until_written(page)
    expect(page.locator("#written .facts")).to_contain_text("The link is of another model, lstm-of-old")
    own = visits.open(server, link({"max_tokens": 5, "seed": 1, "model": server.health()["model"]}))
    wait_until_written(own)
    expect(own.locator("#written .facts")).not_to_contain_text("another model")


def test_a_link_that_makes_no_sense_is_put_right(visits: Visits, server: Server) -> None:
    page = visits.open(server, link({"stars": 9, "temperature": "hot", "top_p": 7, "max_tokens": 100_000, "seed": "x"}))
    expect(page.get_by_role("radio", name="any rating")).to_be_checked()
    page.get_by_role("button", name="Write it").click()
    wait_until_written(page)
    given = parse_qs(urlsplit(page.url).fragment.partition("?")[2])
    assert (given["temperature"], given["top_p"]) == (["0.8"], ["0.95"])
    seeded = visits.open(server, link({"temperature": -1, "top_p": 7, "max_tokens": 2.4, "seed": 1}))
    wait_until_written(seeded)
    assert written(seeded) == review(server, temperature=0, top_p=1, max_tokens=2, seed=1)


def test_a_new_link_in_the_same_page_is_followed(visits: Visits, server: Server) -> None:
    page = visits.open(server, link({"max_tokens": 10, "seed": 1}))
    wait_until_written(page)
    page.evaluate("fragment => { location.hash = fragment }", link({"max_tokens": 10, "seed": 2, "stars": 5}))
    expected = review(server, max_tokens=10, seed=2, stars=5)
    expect(page.locator("#written .text")).to_have_text(expected)
