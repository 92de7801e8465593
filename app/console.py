"""What the process prints to stderr: one line an event, as JSON for a program or as plain text for a person.

Our own loggers and uvicorn's go through the same handler. Bodies, texts and keys are never printed.
"""

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

PLAIN = "%(levelname)s: %(message)s"
COLOURED = "color_message"
"""uvicorn's second version of its messages, for its own formatter."""

requests = logging.getLogger("app.requests")


def set_up_console(style: str, level: str) -> None:
    """`style` is `json`, `text`, or `auto`: text where a person looks at it, which is a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    plain = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler.setFormatter(logging.Formatter(PLAIN) if plain else _json_lines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _json_lines() -> logging.Formatter:
    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        timestamp="time",
        reserved_attrs=[*RESERVED_ATTRS, COLOURED, "taskName"],
    )


def fail(sentence: str) -> int:
    """Says why a program ends, and returns its exit status."""
    print(f"error: {sentence}", file=sys.stderr)
    return 1


def print_request(request_id: str, method: str, route: str, status: int, milliseconds: float) -> None:
    """`route` is the one that is declared, as a path may hold whatever its caller likes, line breaks too."""
    milliseconds = round(milliseconds, 3)
    extra = {"request_id": request_id, "method": method, "route": route, "status": status, "milliseconds": milliseconds}
    requests.info("%s %s %d in %.1f ms, %s", method, route, status, milliseconds, request_id, extra=extra)
