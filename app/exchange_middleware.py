"""What happens around every request: its id, its key, its body, its timing, and its row in the log.

A plain ASGI class, so that it costs microseconds.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Iterable
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.console import print_request
from app.errors import BadRequest, InternalError, NotReady, Problem, Unauthorized
from app.exchange import Exchange, RequestHeaders
from app.held import HeldAnswer
from app.keys import Keys
from app.log.bodies import without_nul
from app.log.request_log import RequestLog
from app.log.schema import Entry
from app.refusal import end_refusal, refuse, tell_unlogged
from app.request_body import RequestBodies, replayed
from app.settings import Settings
from app.telemetry import Telemetry

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/health"})
"""What needs no API key, besides the page's own files."""
UNLOGGED_PATHS = frozenset({"/", "/livez", "/readyz", "/health", "/metrics", "/docs", "/openapi.json"})
"""Probes and pages, which would drown the requests, as the page's own files would."""
PAGES = frozenset({"/", "/docs"})
PAGE_FILES = "/static/"
LEAST_COMMIT_SECONDS = 1.0
"""How long an answer waits for its row at least, even one that came at its deadline."""
NO_STORE = (b"cache-control", b"no-store")
"""Of all answers but pages and their files, which say themselves how they are kept."""
ONCE = frozenset({b"authorization", b"content-length", b"content-type", b"host"})
"""Headers that mean two things where they are sent twice, one to a proxy and another to this service."""
CLIENT_LEFT = 499
"""What the log calls a request whose client left before there was an answer, as other servers do."""
VERSION_AND_VARIANT, VARIANT_MASK = 7 << 76 | 2 << 62, 3 << 62
"""Bits of a UUID of version 7."""
SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

logger = logging.getLogger(__name__)


class Answering(Protocol):
    """Whoever has the `service` that answers at the moment, and its `name`."""

    service: Any


class ExchangeMiddleware:
    def __init__(
        self, app: ASGIApp, settings: Settings, keys: Keys, log: RequestLog, telemetry: Telemetry, serving: Answering
    ) -> None:
        self._app, self._settings, self._keys, self._log, self._serving = app, settings, keys, log, serving
        self._telemetry = telemetry
        self._bodies = RequestBodies(settings)
        self._keeps_bodies = settings.log_bodies != "none"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Searched as they are, and without a Headers object, which costs more than all lookups in it.
        headers = dict(reversed(scope["headers"]))  # of several with one name, the first counts
        service = self._serving.service
        exchange = Exchange(_request_id(headers), scope["path"], service, service.name)
        scope.setdefault("state", {})["exchange"] = exchange
        logged = _is_logged(exchange.path)
        try:
            if logged and self._settings.log_durability == "commit":
                await self._answer_when_committed(scope, receive, send, headers, exchange)
            else:
                await self._answer(scope, receive, self._observed(send, exchange, logged), headers, exchange)
            if exchange.refused:
                await end_refusal(receive if exchange.unread else None, send)
        finally:
            if exchange.held_bytes:
                self._bodies.let_go(exchange)
            if exchange.status and logged:
                if not exchange.recorded:
                    self._log.record(self._entry(exchange))
                self._note(scope, exchange)
            exchange.service = None

    async def _answer_when_committed(
        self, scope: Scope, receive: Receive, send: Send, headers: RequestHeaders, exchange: Exchange
    ) -> None:
        """Answers, but the end of the answer leaves only after its row is in the database."""
        held = HeldAnswer(send)
        observed = self._observed(held.send, exchange, logged=True)
        await self._answer(scope, receive, observed, headers, exchange)
        row = self._log.add(self._entry(exchange))
        exchange.recorded = True
        left = self._settings.deadline_seconds - exchange.latency_ms / 1000
        if not row or not await row.is_committed(max(left, LEAST_COMMIT_SECONDS)):
            held.forget()
            await tell_unlogged(observed, exchange, held.begun)
            if row:
                self._log.amend(row, self._entry(exchange))
        await held.release()

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: RequestHeaders, exchange: Exchange
    ) -> None:
        try:
            if len(headers) != len(scope["headers"]):
                _check_repeated(scope["headers"])
            self._check_key(headers, exchange.path)
            exchange.request_body = await self._bodies.read(exchange, scope, receive, headers)
            await self._app(scope, replayed(exchange.request_body, receive), send)
        except asyncio.CancelledError:  # what the service does at the end of its grace period
            exchange.unread = False  # nor is there time to throw the rest away
            if not exchange.status:
                problem = NotReady("The service is stopping; send the request to another instance.")
                await refuse(problem, exchange, send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_LEFT
        except Problem as problem:
            await refuse(problem, exchange, send)
        except Exception:
            logger.exception("request %s failed", exchange.request_id)
            if not exchange.status:
                await InternalError.of(exchange.request_id).response(exchange.path)(scope, receive, send)

    def _note(self, scope: Scope, exchange: Exchange) -> None:
        # The route as it is declared: paths that nobody declared would be labels without end.
        route = getattr(scope.get("route"), "path", "none")
        latency = exchange.latency_ms
        self._telemetry.note_request(route, exchange.status, latency / 1000)
        if self._settings.console_requests:
            print_request(exchange.request_id, scope["method"], route, exchange.status, latency)

    def _check_key(self, headers: RequestHeaders, path: str) -> None:
        if not self._keys or path in OPEN_PATHS or path.startswith(PAGE_FILES):
            return
        if not self._keys.open_to(headers.get(b"authorization", b"")):
            raise Unauthorized(
                "Send one of the service's keys as `Authorization: Bearer …`.", headers={"WWW-Authenticate": "Bearer"}
            )

    def _observed(self, send: Send, exchange: Exchange, logged: bool) -> Send:
        keep = self._keeps_bodies and logged
        constant = (NO_STORE,) if logged or not _is_page(exchange.path) else ()

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    *constant,
                    (b"x-request-id", exchange.request_id.encode()),
                    (b"server-timing", exchange.server_timing()),
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
            model=exchange.model,
            request_body=exchange.request_body if self._keeps_bodies else b"",
            response_body=exchange.response_body,
        )


def _is_logged(path: str) -> bool:
    return path not in UNLOGGED_PATHS and not path.startswith(PAGE_FILES)


def _is_page(path: str) -> bool:
    return path in PAGES or path.startswith(PAGE_FILES)


def _request_id(headers: RequestHeaders) -> str:
    given = headers.get(b"x-request-id")
    return given.decode("latin-1") if given and SANE_REQUEST_ID.fullmatch(given) else _new_request_id()


def _new_request_id() -> str:
    """A UUID of version 7 without its hyphens (RFC 9562): milliseconds since 1970, then chance.

    Those that follow each other stand beside each other in the log's index, which takes half the time to write.
    """
    # No secret, so that the kernel need not be asked for randomness, which takes 50 microseconds on some machines.
    time_and_chance = time.time_ns() // 1_000_000 << 80 | random.getrandbits(76)
    return (time_and_chance & ~VARIANT_MASK | VERSION_AND_VARIANT).to_bytes(16, "big").hex()


def _check_repeated(headers: Iterable[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in headers]
    for name in ONCE:
        if names.count(name) > 1:
            raise BadRequest(f"The header {name.decode()} is there {names.count(name)} times; send it once.")
