"""A real browser for the tests of the page, and visits to a real server with it."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.app.page.browser import NoChromium, launch
from tests.app.page.visits import Visits


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Skips the tests that need it where there is none; BROWSER_TESTS=required fails them."""
    with sync_playwright() as playwright:
        try:
            chromium = launch(playwright)
        except NoChromium as reason:
            if os.environ.get("BROWSER_TESTS") == "required":
                pytest.fail(str(reason))
            pytest.skip(str(reason))
        yield chromium
        chromium.close()


@pytest.fixture
def visits(browser: Browser) -> Iterator[Visits]:
    """Opens pages; when the test is over, none may have logged an error or called another host."""
    opened = Visits(browser)
    yield opened
    opened.close()
