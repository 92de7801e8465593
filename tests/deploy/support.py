"""What the files of a deployment are held to."""

import re
from typing import Any

from app.connection import PROBES
from app.log.request_log import CLOSING_SECONDS, SILENT_SECONDS
from app.settings import Settings, variable

SETTINGS = {variable(field): field for field in Settings.model_fields}


def assert_settings(variables: dict[str, str]) -> None:
    """Fails for a variable that the service would refuse to start with."""
    assert variables.keys() <= SETTINGS.keys()
    Settings.model_validate({SETTINGS[name]: value for name, value in variables.items() if value})


def assert_time_to_end(variables: dict[str, str], grace_seconds: float) -> None:
    """Fails if the service is killed before its requests and its log are through."""
    fields = Settings.model_fields
    drain = float(variables.get("REVIEW_LM_DRAIN_SECONDS", fields["drain_seconds"].default))
    finish = float(variables.get("REVIEW_LM_SHUTDOWN_SECONDS", fields["shutdown_seconds"].default))
    assert drain + finish + CLOSING_SECONDS + SILENT_SECONDS < grace_seconds


def assert_probe(path: str) -> None:
    """Fails for a page that needs a key or that a busy service refuses."""
    assert path in PROBES


def seconds(text: str) -> float:
    """Of a duration of Compose or HAProxy in seconds."""
    return float(re.fullmatch(r"(\d+)s", text)[1])  # type: ignore[index]


def one(items: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    """The only one of `items` with these values."""
    (found,) = [item for item in items if wanted.items() <= item.items()]
    return found
