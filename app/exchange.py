"""What happens around every request: its id, its key, the size of its body, its timing, and its row in the log.

A plain ASGI class, so that it costs microseconds.
"""

import hmac
import json
import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.calls import Timing
from app.errors import BodyTooLarge, InternalError, Problem, Unauthorized, Unlogged
from app.held import LAST_EVENT, HeldAnswer
from app.log.bodies import without_nul
from app.log.request_log import RequestLog
from app.log.schema import Entry
from app.settings import Settings
from app.telemetry import Telemetry

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/health"})
"""What needs no API key, besides the page's own files."""
UNLOGGED_PATHS = frozenset({"/", "/livez", "/readyz", "/health", "/metrics", "/docs", "/openapi.json"})
"""Probes and pages, which would drown the requests, as the page's own files would."""
PAGE_FILES = "/static/"
LEAST_COMMIT_SECONDS = 1.0
"""How long an answer waits for its row at least, even one that came at its deadline."""
CLIENT_LEFT = 499
"""What the log calls a request whose client left before there was an answer, as other servers do."""
SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

RequestHeaders = Mapping[bytes, bytes]
"""By their names in small letters."""

logger = logging.getLogger(__name__)


@dataclass
class Exchange:
    """One request and its answer; routes add what they know."""

    request_id: str
    path: str
    arrived: float = field(default_factory=time.monotonic)
    time: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))
    timing: Timing = field(default_factory=Timing)
    tokens_in: int = 0
    tokens_out: int = 0
    status: int = 0
    recorded: bool = False
    request_body: bytes = b""
    response_body: bytearray = field(default_factory=bytearray)

    @property
    def latency_ms(self) -> float:
        return 1000 * (time.monotonic() - self.arrived)

    def server_timing(self) -> str:
        parts = {"queue": self.timing.queue, "model": self.timing.model, "total": self.latency_ms}
        return ", ".join(f"{name};dur={value:.2f}" for name, value in parts.items())


class ExchangeMiddleware:
    def __init__(self, app: ASGIApp, settings: Settings, log: RequestLog, telemetry: Telemetry, model: str) -> None:
        self._app, self._settings, self._log, self._model = app, settings, log, model
        self._telemetry = telemetry
        self._keeps_bodies = settings.log_bodies != "none"
        self._keys = [key.get_secret_value().encode() for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Searched as they are, and without a Headers object, which costs more than all lookups in it.
        headers = dict(reversed(scope["headers"]))  # of several with one name, the first counts
        exchange = Exchange(_request_id(headers), scope["path"])
        scope.setdefault("state", {})["exchange"] = exchange
        logged = _is_logged(exchange.path)
        try:
            if logged and self._settings.log_durability == "commit":
                await self._answer_when_committed(scope, receive, send, headers, exchange)
            else:
                await self._answer(scope, receive, self._observed(send, exchange), headers, exchange)
        finally:
            if exchange.status and logged:
                if not exchange.recorded:
                    self._log.record(self._entry(exchange))
                self._note(scope, exchange)

    async def _answer_when_committed(
        self, scope: Scope, receive: Receive, send: Send, headers: RequestHeaders, exchange: Exchange
    ) -> None:
        """Answers, but the end of the answer leaves only after its row is in the database."""
        held = HeldAnswer(send)
        observed = self._observed(held.send, exchange)
        await self._answer(scope, receive, observed, headers, exchange)
        row = self._log.add(self._entry(exchange))
        exchange.recorded = True
        left = self._settings.deadline_seconds - exchange.latency_ms / 1000
        if not row or not await row.is_committed(max(left, LEAST_COMMIT_SECONDS)):
            held.forget()
            await _tell_unlogged(scope, receive, observed, exchange, held.begun)
            if row:
                self._log.amend(row, self._entry(exchange))
        await held.release()

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: RequestHeaders, exchange: Exchange
    ) -> None:
        try:
            self._check_key(headers, exchange.path)
            exchange.request_body = await self._read_body(receive, headers)
            await self._app(scope, _replayed(exchange.request_body, receive), send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_LEFT
        except Problem as problem:
            await problem.response(exchange.path)(scope, receive, send)
        except Exception:
            logger.exception("request %s failed", exchange.request_id)
            if not exchange.status:
                failure = InternalError(f"Something failed; look for {exchange.request_id} in the server's output.")
                await failure.response(exchange.path)(scope, receive, send)

    def _note(self, scope: Scope, exchange: Exchange) -> None:
        # The route as it is declared: paths that nobody declared would be labels without end.
        route = getattr(scope.get("route"), "path", "none")
        self._telemetry.note_request(route, exchange.status, exchange.latency_ms / 1000)

    def _check_key(self, headers: RequestHeaders, path: str) -> None:
        if not self._keys or path in OPEN_PATHS or path.startswith(PAGE_FILES):
            return
        scheme, _, given = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        # Every key is compared, and each in constant time, so that timing tells nothing about any.
        known = [hmac.compare_digest(given.strip().encode(), key) for key in self._keys]
        if scheme.lower() != "bearer" or not any(known):
            raise Unauthorized(
                "Send one of the service's keys as `Authorization: Bearer …`.", headers={"WWW-Authenticate": "Bearer"}
            )

    async def _read_body(self, receive: Receive, headers: RequestHeaders) -> bytes:
        limit = self._settings.max_body_bytes
        declared = headers.get(b"content-length", b"0")
        size = int(declared) if declared.isdigit() else 0
        body = bytearray()
        more = True
        while more and max(size, len(body)) <= limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if max(size, len(body)) > limit:
            raise BodyTooLarge(f"The body may have {limit} bytes; send less at once.", headers={"Connection": "close"})
        return bytes(body)

    def _observed(self, send: Send, exchange: Exchange) -> Send:
        keep = self._keeps_bodies and _is_logged(exchange.path)

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", exchange.request_id.encode()),
                    (b"server-timing", exchange.server_timing().encode()),
                ]
            elif keep:
                exchange.response_body += message.get("body", b"")
            await send(message)

        return observe

    def _entry(self, exchange: Exchange) -> Entry:
        return Entry(
            time=exchange.time,
            request_id=exchange.request_id,
            route=without_nul(exchange.path)[:200],
            status=exchange.status,
            latency_ms=round(exchange.latency_ms, 3),
            queue_ms=round(exchange.timing.queue, 3),
            tokens_in=exchange.tokens_in,
            tokens_out=exchange.tokens_out,
            model=self._model,
            request_body=exchange.request_body if self._keeps_bodies else b"",
            response_body=exchange.response_body,
        )


async def _tell_unlogged(scope: Scope, receive: Receive, send: Send, exchange: Exchange, begun: bool) -> None:
    """Ends an answer whose row is not in the database: with a problem, or in a stream with an event that has it."""
    problem = Unlogged("The request log cannot be written at present; ask again later.", headers={"Retry-After": "5"})
    # A body of its own, as the log's thread may be reading the one before.
    exchange.response_body = exchange.response_body.removesuffix(LAST_EVENT) if begun else bytearray()
    if begun:
        event = f"data: {json.dumps({'error': problem.details().model_dump(exclude_none=True)})}\n\n".encode()
        await send({"type": "http.response.body", "body": event + LAST_EVENT})
    else:
        await problem.response(exchange.path)(scope, receive, send)


def _is_logged(path: str) -> bool:
    return path not in UNLOGGED_PATHS and not path.startswith(PAGE_FILES)


def _request_id(headers: RequestHeaders) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    # No secret, so that the kernel need not be asked for randomness, which takes 50 microseconds on some machines.
    return given if SANE_REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, and then whatever the connection brings: that the client left."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return replay
