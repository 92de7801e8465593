"""Visits to the page: each in a browser context of its own, that notes what the page logs and where it calls."""

import re
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.app.support import Server, eventually

REFUSED = re.compile(r"Failed to load resource: (the server responded with a status of|net::)")
"""What Chromium itself logs of every answer that is an error, whatever the page makes of it."""

expect.set_options(timeout=30_000)


class Visits:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._pages: list[Page] = []
        self._errors: list[str] = []
        self._hosts: set[str] = set()
        self._own_hosts: set[str] = set()

    def open(self, server: Server, address: str = "", refusals: bool = False, script: str = "", **options: Any) -> Page:
        """Opens the page at `/` + `address`, with options of a browser context.

        `refusals` says that the server is expected to answer with errors; `script` is run before the page's own.
        """
        page = self._browser.new_context(**options).new_page()
        page.add_init_script(script)
        page.on("console", lambda message: self._note(message, refusals))
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("request", self._note_host)
        self._pages.append(page)
        self._own_hosts.add(f"127.0.0.1:{server.port}")
        page.goto(f"http://127.0.0.1:{server.port}/{address}")
        return page

    def _note(self, message: ConsoleMessage, refusals: bool) -> None:
        if message.type in {"error", "warning"} and not (refusals and REFUSED.match(message.text)):
            self._errors.append(message.text)

    def _note_host(self, request: Request) -> None:
        self._hosts.add(urlsplit(request.url).netloc)

    def close(self) -> None:
        for page in self._pages:
            page.evaluate("0")  # what was logged before has arrived when this is answered
            page.context.close()
        assert not self._errors
        assert self._hosts == self._own_hosts


def words(page: Page) -> Locator:
    """The suggestions that can be taken."""
    return page.locator("#suggestions:not(.stale) [role=option]:not([hidden]) .word")


def expect_words(page: Page, suggested: list[str]) -> None:
    expect(words(page)).to_have_text(suggested)


def suggested(server: Server, text: str, prefix: str = "", **asked: Any) -> list[str]:
    """What the page is to suggest: up to five words that are not all but impossible, nor what was typed."""
    found = server.post("/next-word", text=text, prefix=prefix, k=6 if prefix else 5, **asked)["suggestions"]
    return [each["word"] for each in found if each["word"] != prefix and each["probability"] >= 0.001][:5]


def expect_coloured(page: Page, text: str) -> None:
    """Waits until all of `text` is there in tokens, with the mark of its end.

    Asked again and again from here, as the page's policy forbids Playwright to wait for an expression in it.
    """
    eventually(lambda: page.locator("#tokens").text_content() == f"{text}end")
