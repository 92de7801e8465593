"""How the page does in a real Chromium with the real server: `python -m benchmarks.page timing|screenshots`."""

import io
import itertools
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from pydantic import BaseModel, Field
from pydantic_settings import CliSubCommand, SettingsConfigDict

from tests.app.page.browser import NoChromium, launch
from tests.app.support import Server, running_server
from training.command_line import CommandLineProgram, run_program
from training.errors import TrainingError

REVIEW = (
    "We stopped here for lunch on a rainy Sunday and were seated at once. The soup was hot, the bread was fresh and "
    "our waiter knew every dish by heart. My sister had the fish, which was a little dry, but the cake made up for it."
)
MEASURED = "performance.getEntriesByName('key to painted suggestion').map(each => each.duration)"
VIEWPORT: ViewportSize = {"width": 900, "height": 760}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FULL_CHIPS = "#suggestions:not(.stale) [role=option]:not([hidden]) >> nth=4"


class Timing(BaseModel):
    """Type a review and tell what the page measured from key press to painted suggestion."""

    milliseconds: float = Field(150, gt=0, description="time from key to key")

    def cli_cmd(self) -> None:
        with _server() as server, _browser() as browser:
            page = browser.new_page()
            page.goto(_address(server))
            expect(page.locator(FULL_CHIPS)).to_be_visible()
            page.locator("#review").focus()
            page.keyboard.type(REVIEW, delay=self.milliseconds)
            durations = page.evaluate(MEASURED)
            response = page.locator("#typing-figures dd").nth(-2).inner_text()
            print(f"Chromium {browser.version} without a window, {platform.machine()}, {len(REVIEW)} keys")
            print(timing_table(durations, response))


def timing_table(durations: Sequence[float], response: str) -> str:
    """The figures as a Markdown table; `durations` in milliseconds."""
    ninetieth = statistics.quantiles(durations, n=10)[-1]
    return (
        "| from key press to painted suggestion | |\n|---|---|\n"
        f"| painted | {len(durations)} |\n"
        f"| median | {statistics.median(durations):.1f} ms |\n"
        f"| 90 % within | {ninetieth:.1f} ms |\n"
        f"| of that, the answer over HTTP: median | {response} |"
    )


class Screenshots(BaseModel):
    """Take pictures of every view, light and dark, for the README."""

    destination: Path = Field(Path("docs"), description="folder of the pictures")

    def cli_cmd(self) -> None:
        self.destination.mkdir(parents=True, exist_ok=True)
        with _server() as server, _browser() as browser:
            for scheme, view in itertools.product(SCHEMES, VIEWS):
                context = browser.new_context(color_scheme=scheme, viewport=VIEWPORT, reduced_motion="reduce")
                page = context.new_page()
                page.goto(f"{_address(server)}#{view}")
                VIEWS[view](page)
                _save(page.screenshot(), self.destination / f"page-{view}-{scheme}.png")
                context.close()


def _save(picture: bytes, path: Path) -> None:
    """Saves a picture in 64 colours, which a page of few colours loses nothing by, and a repository gains."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(64).save(path, optimize=True)


def _write(page: Page) -> None:
    page.get_by_role("radio", name="5 stars").check()
    expect(page.locator(FULL_CHIPS)).to_be_visible()
    page.locator("#review").focus()
    for typed, key in (("The fo", "Tab"), ("was ", "2"), ("and the st", "Tab"), ("was so ", "")):
        page.keyboard.type(typed)
        _settled(page, typed)
        if key:
            page.keyboard.press(key)


def _settled(page: Page, typed: str) -> None:
    """Waits for the suggestions that what was typed is asked for."""
    beginning = typed.rpartition(" ")[2]
    page.wait_for_function(
        """beginning => !document.querySelector("#suggestions.stale, #suggestions[hidden]")
            && document.querySelector("#suggestions .word").textContent.startsWith(beginning)""",
        arg=beginning,
    )


def _surprise(page: Page) -> None:
    page.get_by_role("button", name="One odd thing").click()
    page.locator(".token", has_text="olive").click()
    expect(page.locator("#token .word")).to_have_count(5)


def _sample(page: Page) -> None:
    page.get_by_role("radio", name="4 stars").check()
    page.locator("[name=seed]").fill("12")
    page.locator("[name=max_tokens]").fill("60")
    page.get_by_role("button", name="Write it").click()
    expect(page.locator("#written")).to_have_attribute("aria-busy", "false")


def _about(page: Page) -> None:
    expect(page.get_by_role("heading", name="Everything")).to_be_visible()


VIEWS = {"write": _write, "surprise": _surprise, "sample": _sample, "about": _about}


@contextmanager
def _server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory, running_server(Path(directory)) as server:
        yield server


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except NoChromium as reason:
            raise TrainingError(str(reason)) from None
        yield browser
        browser.close()


def _address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/"


class CommandLine(CommandLineProgram):
    """Drives the page in a real Chromium against the real server."""

    model_config = SettingsConfigDict(cli_prog_name="python -m benchmarks.page")

    timing: CliSubCommand[Timing] = Field(description="time from key press to painted suggestion")
    screenshots: CliSubCommand[Screenshots] = Field(description="pictures of every view")


def main(arguments: list[str] | None = None) -> int:
    return run_program(CommandLine, arguments, "Stopped; nothing was measured.")


if __name__ == "__main__":
    sys.exit(main())
