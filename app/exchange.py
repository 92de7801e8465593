"""What happens around every request: its id, its key, the size of its body, its timing, and its row in the log.

A plain ASGI class, so that it costs microseconds.
"""

import asyncio
import contextlib
import json
import logging
import random
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.calls import Timing
from app.connection import LATE, LINGER_SECONDS
from app.console import print_request
from app.errors import (
    BadRequest,
    BodyTooLarge,
    FieldProblem,
    InternalError,
    InvalidRequest,
    NotReady,
    Problem,
    RequestTimeout,
    Unauthorized,
    Unlogged,
)
from app.held import LAST_EVENT, HeldAnswer
from app.keys import Keys
from app.log.bodies import without_nul
from app.log.request_log import RequestLog
from app.log.schema import Entry
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
MANY_BYTES = 4096
"""A body of fewer bytes cannot hold so many strings that they need to be counted."""
CLIENT_LEFT = 499
"""What the log calls a request whose client left before there was an answer, as other servers do."""
SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

CLOSING = {"Connection": "close"}

RequestHeaders = Mapping[bytes, bytes]
"""By their names in small letters."""

logger = logging.getLogger(__name__)


class Answering(Protocol):
    """Whoever has the `service` that answers at the moment, and its `name`."""

    service: Any


@dataclass
class Exchange:
    """One request and its answer; routes add what they know."""

    request_id: str
    path: str
    service: Any
    """The `Service` that answers it, to its end, and None from there on: a connection that is kept keeps this, too."""
    model: str
    arrived: float = field(default_factory=time.monotonic)
    time: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))
    timing: Timing = field(default_factory=Timing)
    tokens_in: int = 0
    tokens_out: int = 0
    status: int = 0
    recorded: bool = False
    unread: bool = True
    """Whether the body has, or may have, parts that were not read."""
    refused: bool = False
    """Whether the answer is there but not ended, so that the rest of the body can be thrown away."""
    request_body: bytes = b""
    response_body: bytearray = field(default_factory=bytearray)

    @property
    def latency_ms(self) -> float:
        return 1000 * (time.monotonic() - self.arrived)

    def server_timing(self) -> bytes:
        values = self.timing.queue, self.timing.model, self.latency_ms
        return b"queue;dur=%.2f, model;dur=%.2f, total;dur=%.2f" % values


class ExchangeMiddleware:
    def __init__(
        self, app: ASGIApp, settings: Settings, keys: Keys, log: RequestLog, telemetry: Telemetry, serving: Answering
    ) -> None:
        self._app, self._settings, self._keys, self._log, self._serving = app, settings, keys, log, serving
        self._telemetry = telemetry
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
                await self._answer(scope, receive, self._observed(send, exchange), headers, exchange)
            if exchange.refused:
                await _end_refusal(receive if exchange.unread else None, send)
        finally:
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
        observed = self._observed(held.send, exchange)
        await self._answer(scope, receive, observed, headers, exchange)
        row = self._log.add(self._entry(exchange))
        exchange.recorded = True
        left = self._settings.deadline_seconds - exchange.latency_ms / 1000
        if not row or not await row.is_committed(max(left, LEAST_COMMIT_SECONDS)):
            held.forget()
            await _tell_unlogged(observed, exchange, held.begun)
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
            exchange.request_body = await self._read_body(scope, receive, headers)
            exchange.unread = False
            await self._app(scope, _replayed(exchange.request_body, receive), send)
        except asyncio.CancelledError:  # what the service does at the end of its grace period
            exchange.unread = False  # nor is there time to throw the rest away
            if not exchange.status:
                problem = NotReady("The service is stopping; send the request to another instance.")
                await _refuse(problem, exchange, send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_LEFT
        except Problem as problem:
            await _refuse(problem, exchange, send)
        except Exception:
            logger.exception("request %s failed", exchange.request_id)
            if not exchange.status:
                failure = InternalError(f"Something failed; look for {exchange.request_id} in the server's output.")
                await failure.response(exchange.path)(scope, receive, send)

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

    async def _read_body(self, scope: Scope, receive: Receive, headers: RequestHeaders) -> bytes:
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
            if more and LATE in scope["state"]:
                seconds = self._settings.read_seconds
                raise RequestTimeout(f"The body took longer than {seconds:g} seconds; send it faster.", headers=CLOSING)
        if max(size, len(body)) > limit:
            scope["state"]["exchange"].unread = more
            raise BodyTooLarge(f"The body may have {limit} bytes; send less at once.", headers=CLOSING)
        if len(body) > MANY_BYTES:
            scope["state"]["exchange"].unread = False
            _check_strings(body, self._settings.max_strings)
        return bytes(body)

    def _observed(self, send: Send, exchange: Exchange) -> Send:
        keep = self._keeps_bodies and _is_logged(exchange.path)
        constant = () if exchange.path in PAGES or exchange.path.startswith(PAGE_FILES) else (NO_STORE,)

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


async def _tell_unlogged(send: Send, exchange: Exchange, begun: bool) -> None:
    """Ends an answer whose row is not in the database: with a problem, or in a stream with an event that has it."""
    problem = Unlogged("The request log cannot be written at present; ask again later.", headers={"Retry-After": "5"})
    # A body of its own, as the log's thread may be reading the one before.
    exchange.response_body = exchange.response_body.removesuffix(LAST_EVENT) if begun else bytearray()
    if begun:
        event = f"data: {json.dumps(problem.event(exchange.path))}\n\n".encode()
        await send({"type": "http.response.body", "body": event + LAST_EVENT})
    else:
        await _refuse(problem, exchange, send)


def _is_logged(path: str) -> bool:
    return path not in UNLOGGED_PATHS and not path.startswith(PAGE_FILES)


def _request_id(headers: RequestHeaders) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    # No secret, so that the kernel need not be asked for randomness, which takes 50 microseconds on some machines.
    return given if SANE_REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def _check_strings(body: bytearray, limit: int) -> None:
    """Refuses JSON of very many strings: each unknown field is an error, and takes as long as a whole request."""
    quotes = body.count(b'"') - body.count(b'\\"')
    if quotes > 2 * limit:
        problem = f"holds more than {limit} strings, the names of fields counted; send fewer"
        raise InvalidRequest(f"body: {problem}", errors=[FieldProblem(field="body", problem=problem)])


def _check_repeated(headers: Iterable[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in headers]
    for name in ONCE:
        if names.count(name) > 1:
            raise BadRequest(f"The header {name.decode()} is there {names.count(name)} times; send it once.")


async def _refuse(problem: Problem, exchange: Exchange, send: Send) -> None:
    """Answers, perhaps before the body was read; `_end_refusal` has to follow."""
    exchange.refused = True
    response = problem.response(exchange.path)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})


async def _end_refusal(receive: Receive | None, send: Send) -> None:
    """Ends the answer when the rest of the body has been thrown away, or after a while.

    A connection that is closed while the client still sends takes the answer with it.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while receive and (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body"})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, and then whatever the connection brings: that the client left."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return replay
