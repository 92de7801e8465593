"""The page for everybody: no barrier that axe-core knows, by keyboard alone, on a narrow screen, in both schemes."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.app.page.test_sample import wait_until_written
from tests.app.page.visits import Visits, expect_words, suggested, words
from tests.app.support import Server

PHONE: dict[str, Any] = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ALL_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def write(page: Page, server: Server) -> None:
    page.locator("#review").fill("The food was gr")
    expect_words(page, suggested(server, "The food was ", "gr"))


def surprise(page: Page, _: Server) -> None:
    page.get_by_role("button", name="One odd thing").click()
    page.locator(".token", has_text="waiter").click()
    expect(page.locator("#token .word")).to_have_count(5)


def sample(page: Page, _: Server) -> None:
    page.get_by_role("radio", name="4 stars").check()
    page.locator("[name=max_tokens]").fill("30")
    page.get_by_role("button", name="Write it").click()
    wait_until_written(page)


def about(page: Page, _: Server) -> None:
    expect(page.get_by_role("img", name="Training curve")).to_be_visible()
    for summary in page.locator("summary").all():
        summary.click()


VIEWS: dict[str, Callable[[Page, Server], None]] = {
    "write": write,
    "surprise": surprise,
    "sample": sample,
    "about": about,
}


def assert_no_barriers(page: Page) -> None:
    results = Axe().run(page, options=ALL_RULES)
    assert len(results.response["passes"]) > 10
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_violation(visits: Visits, server: Server, view: str) -> None:
    page = visits.open(server, f"#{view}", reduced_motion="reduce")
    VIEWS[view](page, server)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert_no_barriers(page)


def test_axe_finds_no_violation_in_the_key_prompt_and_the_states(visits: Visits, limited_server: Server) -> None:
    page = visits.open(limited_server, refusals=True, reduced_motion="reduce")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_no_barriers(page)
    page.keyboard.press("Escape")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("#status")).to_be_visible()
        assert_no_barriers(page)


@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_screen_holds_every_view(visits: Visits, server: Server, view: str) -> None:
    page = visits.open(server, f"#{view}", **PHONE)
    VIEWS[view](page, server)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    outside = page.locator("main :visible").evaluate_all(
        "each => each.filter(one => !one.closest('.table, pre') && one.getBoundingClientRect().right > 320)"
        ".map(one => one.outerHTML.slice(0, 80))"
    )
    assert outside == [], outside
    assert_no_barriers(page)


def test_chips_stay_in_sight_above_the_keyboard(visits: Visits, server: Server) -> None:
    page = visits.open(server, **PHONE)
    page.locator("#review").tap()
    page.set_viewport_size({"width": 320, "height": 360})  # what is left when the keyboard is open
    page.keyboard.insert_text("We came here for lunch on a rainy day and had to wait a while. " * 4)
    expect(words(page).first).to_be_visible()
    for chip in page.get_by_role("option").all():
        expect(chip).to_be_in_viewport(ratio=1)


def test_by_keyboard_alone(visits: Visits, server: Server) -> None:
    page = visits.open(server)
    expect_words(page, suggested(server, ""))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # past the stars, of which one is a stop
    expect(page.get_by_role("radio", name="any rating")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#review")).to_be_focused()
    page.keyboard.type("It was ")
    expected = suggested(server, "It was ")
    expect_words(page, expected)
    page.keyboard.press("Tab")
    expect(page.locator("#review")).to_have_value(f"It was {expected[0]} ")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Colour it by surprise")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What surprises it")).to_be_focused()
    expect(page).to_have_title("What surprises it – review-lm")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Surprise")
    page.go_back()
    expect(page.get_by_role("heading", name="Type a review, see it think")).to_be_visible()


def test_every_focus_can_be_seen(visits: Visits, server: Server) -> None:
    page = visits.open(server, "#sample")
    expect(page.get_by_role("button", name="Write it")).to_be_visible()
    outlines: dict[str, str] = {}
    focused = """() => {
        const focused = document.activeElement;
        const shown = focused.closest("label") ?? focused;
        return [focused.outerHTML.slice(0, 60), getComputedStyle(shown).outlineStyle, focused === document.body];
    }"""
    for _ in range(20):
        page.keyboard.press("Tab")
        html, outline, nothing = page.evaluate(focused)
        if not nothing:  # between the last of the page and the first, the browser's own buttons
            outlines[html] = outline
    assert len(outlines) == 15
    assert set(outlines.values()) == {"solid"}, outlines


def test_who_wants_less_motion_gets_none(visits: Visits, server: Server) -> None:
    page = visits.open(server, "#sample", reduced_motion="reduce")
    animation = "getComputedStyle(document.querySelector('#written .text'), '::after').animationName"
    page.evaluate("document.querySelector('#written').classList.add('writing')")
    assert page.evaluate(animation) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(animation) == "blink"
