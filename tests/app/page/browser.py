"""A real Chromium: one that is installed, or else Playwright's own, which is downloaded where that can be done."""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Error, Playwright

INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DOWNLOAD_SECONDS = 200


class NoChromium(Exception):
    """There is none, or none that starts; the message says what to do."""


def launch(playwright: Playwright) -> Browser:
    """Starts a Chromium without a window; raises NoChromium."""
    path = next(filter(None, map(shutil.which, INSTALLED)), None) or _playwrights_own(playwright)
    if path is None:
        raise NoChromium("There is no Chromium, and none could be downloaded; install one (apt-get install chromium).")
    try:
        return playwright.chromium.launch(executable_path=path)
    except Error as error:
        raise NoChromium(f"{path} does not start: {error.message.splitlines()[0]}") from None


def _playwrights_own(playwright: Playwright) -> str | None:
    path = Path(playwright.chromium.executable_path)
    if not path.exists():
        download = [sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"]
        try:
            subprocess.run(download, check=False, capture_output=True, timeout=DOWNLOAD_SECONDS)
        except subprocess.TimeoutExpired:
            return None
    return str(path) if path.exists() else None
