"""One request and its answer: what the service notes of it on the way, for the log and for the answer's headers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.calls import Timing

RequestHeaders = Mapping[bytes, bytes]
"""By their names in small letters."""

EPOCH = datetime(1970, 1, 1)  # UTC


def utc_now() -> datetime:
    """The time in UTC, without a zone. To ask for one and take it off again takes three times as long."""
    return EPOCH + timedelta(seconds=time.time())


@dataclass(slots=True)
class Exchange:
    """One request and its answer; routes add what they know."""

    request_id: str
    path: str
    service: Any
    """The `Service` that answers it, to its end, and None from there on: a connection that is kept keeps this, too."""
    model: str
    arrived: float = field(default_factory=time.monotonic)
    time: datetime = field(default_factory=utc_now)
    timing: Timing = field(default_factory=Timing)
    tokens_in: int = 0
    tokens_out: int = 0
    status: int = 0
    recorded: bool = False
    unread: bool = True
    """Whether the body has, or may have, parts that were not read."""
    refused: bool = False
    """Whether the answer is there but not ended, so that the rest of the body can be thrown away."""
    held_bytes: int = 0
    """Of its body, as `RequestBodies` counts them."""
    request_body: bytes = b""
    response_body: bytearray = field(default_factory=bytearray)

    @property
    def latency_ms(self) -> float:
        return 1000 * (time.monotonic() - self.arrived)

    def server_timing(self) -> bytes:
        values = self.timing.queue, self.timing.model, self.latency_ms
        return b"queue;dur=%.2f, model;dur=%.2f, total;dur=%.2f" % values
