"""Write: suggestions as one types, in a real browser, by the answers of the real server."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.app.page.visits import Visits, expect_words, suggested, words
from tests.app.support import Server, eventually

LETTERS = "The food was"


@pytest.fixture
def page(visits: Visits, server: Server) -> Page:
    page = visits.open(server)
    page.locator("#review").focus()
    return page


def written(page: Page) -> str:
    return page.locator("#review").input_value()


def expect_written(page: Page, text: str) -> None:
    expect(page.locator("#review")).to_have_value(text)


def figure(page: Page, name: str) -> Any:
    return page.locator("#typing-figures > div", has_text=name).locator("dd").first


def test_suggestions_are_there_before_the_first_key(page: Page, server: Server) -> None:
    expect_words(page, suggested(server, ""))


def test_keys_take_suggestions(page: Page, server: Server) -> None:
    text = "The food was "
    page.keyboard.type(text)
    for key, place in (("Tab", 0), ("3", 2), ("ArrowRight", 0), ("5", 4), ("1", 0)):
        expected = suggested(server, text)
        expect_words(page, expected)
        page.keyboard.press(key)
        text += f"{expected[place]} "
        expect_written(page, text)
    expect(page.locator("#review")).to_be_focused()


def test_a_half_typed_word_is_completed(page: Page, server: Server) -> None:
    page.keyboard.type("The waiter was very att")
    expected = suggested(server, "The waiter was very ", "att")
    expect_words(page, expected)
    expect(page.locator(".ghost").first).to_have_text(expected[0].removeprefix("att"))
    page.keyboard.press("Tab")
    expect_written(page, f"The waiter was very {expected[0]} ")


def test_a_word_after_a_mark_gets_its_space(page: Page, server: Server) -> None:
    page.keyboard.type("The food was good.")
    expected = suggested(server, "The food was good.")
    expect_words(page, expected)
    expect(page.locator(".ghost").first).to_have_text(f" {expected[0]}")
    page.keyboard.press("2")
    # A digit after a mark may be a number's, as in "4.5", and is one.
    expect_written(page, "The food was good.2")
    page.keyboard.press("Backspace")
    expect_words(page, expected)
    page.keyboard.press("Tab")
    expect_written(page, f"The food was good. {expected[0]} ")


def test_a_tap_takes_a_suggestion_and_leaves_the_keyboard_open(visits: Visits, server: Server) -> None:
    page = visits.open(server, has_touch=True)
    page.locator("#review").tap()
    page.keyboard.type("The food was ")
    expected = suggested(server, "The food was ")
    expect_words(page, expected)
    page.get_by_role("option", name=expected[3]).tap()
    expect_written(page, f"The food was {expected[3]} ")
    expect(page.locator("#review")).to_be_focused()


def test_a_rating_conditions_the_suggestions(page: Page, server: Server) -> None:
    page.keyboard.type("The food was ")
    expect_words(page, suggested(server, "The food was "))
    page.get_by_role("radio", name="1 star", exact=True).check()
    one = suggested(server, "The food was ", stars=1)
    assert one != suggested(server, "The food was ", stars=5) != suggested(server, "The food was ")
    expect_words(page, one)
    page.keyboard.press("ArrowLeft")  # from one star to any
    expect_words(page, suggested(server, "The food was "))
    page.keyboard.press("ArrowLeft")  # and round to five
    expect_words(page, suggested(server, "The food was ", stars=5))


def test_escape_puts_suggestions_away_and_gives_the_keys_back(page: Page, server: Server) -> None:
    page.keyboard.type("We were ")
    expect_words(page, suggested(server, "We were "))
    page.keyboard.press("Escape")
    expect(page.locator("#suggestions")).to_be_hidden()
    expect(page.locator(".ghost").first).to_have_text("")
    page.keyboard.type("25")
    expect_written(page, "We were 25")
    expect_words(page, suggested(server, "We were 25"))
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator("#review")).not_to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#review")).to_be_focused()


def test_what_was_taken_can_be_undone(page: Page, server: Server) -> None:
    page.keyboard.type("The staff was frien")
    expect_words(page, suggested(server, "The staff was ", "frien"))
    page.keyboard.press("Tab")
    expect_written(page, "The staff was friendly ")
    page.keyboard.press("Control+z")
    expect_written(page, "The staff was frien")


def test_a_late_answer_never_takes_the_place_of_a_newer(page: Page, server: Server) -> None:
    held: list[Route] = []

    def is_late(request: Request) -> bool:
        return request.url.endswith("/next-word") and json.loads(request.post_data or "{}").get("prefix") == "gr"

    def hold(route: Route) -> None:  # at the network: no real server can be brought to answer late when it is asked to
        if is_late(route.request):
            held.append(route)
        else:
            route.continue_()

    page.route("**/next-word", hold)
    # A page whose answers are slow asks a while after a key, and not at all if another comes in between.
    with page.expect_request(is_late):
        page.keyboard.type("The food was gr")
    expect(page.locator("#suggestions")).to_be_hidden()  # what was suggested before "gr" is put away
    with page.expect_event("requestfailed", is_late):
        page.keyboard.type("e")
    expected = suggested(server, "The food was ", "gre")
    expect_words(page, expected)
    (late,) = held
    late.fulfill(json={"suggestions": [{"word": "grey", "probability": 1}], "usage": {}, "model": ""})
    page.evaluate("fetch('livez')")
    assert words(page).all_inner_texts() == expected


def asked_for(page: Page) -> list[str]:
    """Collects what is asked for from now on."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/next-word"):
            asked.append(request.url)

    page.on("request", note)
    return asked


def test_every_key_is_asked_for_at_once_while_answers_are_fast(visits: Visits, server: Server) -> None:
    # By this clock every answer is, on the busiest machine, too.
    page = visits.open(server, "#about", script="performance.now = () => 0")
    page.locator("nav").get_by_role("link", name="Write").click()
    expect_words(page, suggested(server, ""))
    page.locator("#review").focus()
    asked = asked_for(page)
    page.keyboard.type(LETTERS)
    expect_words(page, suggested(server, "The food ", "was"))
    assert len(asked) == len(LETTERS)


def test_a_slow_service_is_not_asked_for_every_key(visits: Visits, server: Server) -> None:
    page = visits.open(server, "#about")
    network = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 500, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", conditions)
    page.locator("nav").get_by_role("link", name="Write").click()
    expect_words(page, suggested(server, ""))
    page.locator("#review").focus()
    asked = asked_for(page)
    page.evaluate(
        """async letters => {
        for (const letter of letters) {
            document.execCommand("insertText", false, letter);
            await new Promise(resolve => setTimeout(resolve));
        }
    }""",
        LETTERS,
    )
    expect_words(page, suggested(server, "The food ", "was"))
    assert len(asked) < len(LETTERS) / 2


def test_keys_saved_are_counted(page: Page, server: Server) -> None:
    page.keyboard.type("The food was gr")
    expect_words(page, suggested(server, "The food was ", "gr"))
    page.keyboard.press("Tab")
    expect_written(page, "The food was great ")
    page.keyboard.type(".")
    expect_written(page, "The food was great.")  # the space came with the word
    expect(figure(page, "Keystrokes saved")).to_have_text("2")  # 19 characters by 17 keys
    expect(figure(page, "Words per keystroke")).to_have_text("0.24")
    expect(figure(page, "Median response")).to_have_text(re.compile(r"^[\d,.]+ ms$"))
    page.get_by_role("button", name="Start anew").click()
    expect_written(page, "")
    expect(figure(page, "Keystrokes saved")).to_have_text("0")


def test_the_page_measures_from_key_to_paint(page: Page, server: Server) -> None:
    page.keyboard.type("The")
    expect_words(page, suggested(server, "", "The"))
    durations = "performance.getEntriesByName('key to painted suggestion').map(each => each.duration)"
    eventually(lambda: page.evaluate(f"{durations}.length"))
    assert all(duration > 0 for duration in page.evaluate(durations))


def test_suggestions_are_read_out_once_typing_rests(page: Page, server: Server) -> None:
    page.keyboard.type("The food was ")
    expected = suggested(server, "The food was ")
    expect(page.locator("#announcer")).to_have_text(f"Suggestions: {', '.join(expected)}")
    expect(page.locator("#announcer")).to_have_role("status")
    expect(page.locator("#suggestions")).to_have_role("listbox")
    expect(page.get_by_role("option", selected=True)).to_contain_text(expected[0])


def test_in_the_middle_of_a_text_only_the_chips_suggest(page: Page, server: Server) -> None:
    page.keyboard.type("The was good")
    expect_words(page, suggested(server, "The was ", "good"))
    for _ in range(len(" was good")):
        page.keyboard.press("ArrowLeft")
    expected = suggested(server, "", "The")
    expect_words(page, expected)
    expect(page.locator(".ghost").first).to_have_text("")
    page.keyboard.press("ArrowRight")
    expect_written(page, "The was good")  # it moved
    page.keyboard.type("food")
    expect(page.locator("#suggestions")).to_be_hidden()  # "foodwas" is no place for a word
    page.keyboard.type(" ")
    expect_written(page, "The food was good")
