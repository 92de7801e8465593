"""Surprise: the colours and figures of the page are those of `/score`."""

import math
import re
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.app.page.visits import Visits, expect_coloured
from tests.app.support import Server

TEXT = "The waiter brought us bread, olive oil and a trumpet."


def tokens(server: Server, text: str, stars: int | None = None) -> list[dict[str, Any]]:
    scored: list[dict[str, Any]] = server.post("/score", texts=[text], tokens=True, stars=stars)["scores"][0][
        "token_scores"
    ]
    return scored


def bits(token: dict[str, Any]) -> float:
    return float(-token["log_probability"] / math.log(2))


def shown(page: Page) -> list[str]:
    return page.locator(".token:not(.end)").all_text_contents()


@pytest.fixture
def page(visits: Visits, server: Server) -> Page:
    page = visits.open(server, "#surprise")
    page.locator("#scored-text").fill(TEXT)
    expect(page.locator(".token")).to_have_count(len(tokens(server, TEXT)))
    return page


def redness(page: Page) -> list[float]:
    """How far each token's background is from the page's own."""
    colours = page.locator(".token").evaluate_all("each => each.map(one => getComputedStyle(one).backgroundColor)")
    channels = [[float(value) for value in re.findall(r"[\d.]+", colour)] for colour in colours]
    return [red - blue for red, _, blue in channels]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_less_probable_the_hotter(page: Page, server: Server, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    expected = [bits(token) for token in tokens(server, TEXT)]
    seen = sorted(zip(expected, redness(page), strict=True))
    assert seen[-1][0] - seen[0][0] > 8
    for (fewer, cooler), (more, hotter) in pairwise(seen):
        assert cooler < hotter or more - fewer < 0.2
    heats = page.locator(".token").evaluate_all("each => each.map(one => one.style.getPropertyValue('--heat'))")
    assert [float(heat.rstrip("%")) for heat in heats] == pytest.approx(
        [100 * min(1, each / 16) for each in expected], abs=0.06
    )


def test_figures_are_those_of_score(page: Page, server: Server) -> None:
    (score,) = server.post("/score", texts=[TEXT])["scores"]
    figures = page.locator("#score-figures")
    expect(figures).to_contain_text(f"Perplexity per word{score['perplexity']:.1f}")
    expect(figures).to_contain_text(f"Bits per character{score['bits_per_character']:.2f}")
    expect(figures).to_contain_text(f"Tokens{score['tokens']}")


def test_pointing_at_a_token_tells_its_rank_and_what_was_expected(page: Page, server: Server) -> None:
    (token,) = [each for each in tokens(server, TEXT) if each["text"] == " waiter"]
    expected = server.post("/next-word", text="The", k=5, punctuation=True)["suggestions"]
    page.locator(".token", has_text="waiter").hover()
    detail = page.locator("#token")
    expect(detail.get_by_role("heading")).to_have_text("“waiter”")
    expect(detail).to_contain_text(f"choice number {token['rank']} of 16,000")
    expect(detail).to_contain_text(f"{bits(token):.1f} bits")
    expect(detail.locator(".word")).to_have_text([each["word"] for each in expected])


def test_arrow_keys_move_through_the_tokens(page: Page, server: Server) -> None:
    scored = tokens(server, TEXT)
    page.locator(".token").first.focus()
    expect(page.locator("#token h2")).to_have_text("“The”")
    for token in scored[1:4]:
        page.keyboard.press("ArrowRight")
        expect(page.locator("#token h2")).to_have_text(f"“{token['text'].strip()}”")
    page.keyboard.press("End")
    expect(page.locator("#token h2")).to_have_text("the end of the review")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#token h2")).to_have_text("“.”")
    page.keyboard.press("Tab")  # the tokens are one stop
    expect(page.locator(".token:focus")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    expect(page.locator(".token:focus")).to_have_text(".")


def test_inside_a_word_its_other_endings_are_expected(page: Page, server: Server) -> None:
    piece = next(each for each in tokens(server, TEXT) if each["start"] > 45 and each["text"][0].isalpha())
    typed = TEXT[45 : piece["start"]].strip()
    before = TEXT[: TEXT.index(typed, 45)]
    expected = server.post("/next-word", text=before, prefix=typed, k=5)["suggestions"]
    page.locator(".token", has_text=re.compile(f"^{piece['text']}$")).hover()
    expect(page.locator("#token .word")).to_have_text([each["word"] for each in expected])


def test_a_rating_is_part_of_what_is_expected(page: Page, server: Server) -> None:
    page.get_by_role("radio", name="2 stars").check()
    (score,) = server.post("/score", texts=[TEXT], stars=2)["scores"]
    expect(page.locator("#score-figures")).to_contain_text(f"Perplexity per word{score['perplexity']:.1f}")


@pytest.mark.parametrize("text", ["So good 😀😀!\n\nCrème brûlée 🍮", "👩‍👩‍👧 loved it", "  two  spaces "])
def test_any_text_is_shown_whole(page: Page, text: str) -> None:
    page.locator("#scored-text").fill(text)
    expect_coloured(page, text)
    assert "".join(shown(page)) == text


def test_it_is_the_same_text_as_in_write(page: Page) -> None:
    page.locator("nav").get_by_role("link", name="Write").click()
    expect(page.locator("#review")).to_have_value(TEXT)
    page.locator("#review").fill("It was fine.")
    page.get_by_role("link", name="Colour it by surprise").click()
    expect(page.locator("#scored-text")).to_have_value("It was fine.")
    expect_coloured(page, "It was fine.")


def test_examples_differ_in_word_order_alone(page: Page) -> None:
    perplexities = []
    for name in ("As people write", "Word order matters"):
        page.get_by_role("button", name=name).click()
        text = page.locator("#scored-text").input_value()
        expect_coloured(page, text)
        perplexities.append(float(page.locator("#score-figures dd").first.inner_text().replace(",", "")))
    assert perplexities[1] > 5 * perplexities[0]


def test_what_is_no_markup_stays_text(page: Page) -> None:
    text = "<img src=x onerror=alert(1)> was &amp; good"
    page.locator("#scored-text").fill(text)
    expect_coloured(page, text)
    expect(page.locator("main img")).to_have_count(0)
