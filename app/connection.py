"""The connections: uvicorn's, with bounds on what a client may send before the service knows of a request.

The parser keeps a head until it is whole, however long and slow it is, so its bytes and its time are counted here: by
pieces as they come in, as a request that comes in one piece, as nearly all do, must pay nothing for it.
"""

from asyncio import TimerHandle, Transport
from typing import Any, NamedTuple, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.errors import BadRequest, HeadTooLarge, Problem, RequestTimeout, TooManyConnections
from app.joined_writes import JoinedWrites, Turn

LINGER_SECONDS = 2.0
"""How long what a refused client still sends is thrown away, so that it can read why it was refused."""
LATE = "late"
"""The key of a request's ASGI state that says that its body has taken too long."""
PROBES = frozenset({"/livez", "/readyz", "/health"})
"""Answered on any connection: an orchestrator must not restart a service because it has many clients."""
BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
CLOSE_AND_COME_LATER = {"Connection": "close", "Retry-After": "1"}
CONSTANT_HEADERS = b"x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"


class ConnectionLimits(NamedTuple):
    max_head_bytes: int
    max_connections: int
    read_seconds: float
    write_seconds: float


def put_headers_behind_status_lines() -> None:
    """Has uvicorn send CONSTANT_HEADERS with each answer, its own among them.

    Behind the status line they cost nothing, where uvicorn would check each header of each answer by two expressions.
    """
    for status, line in STATUS_LINE.items():
        if not line.endswith(CONSTANT_HEADERS):
            STATUS_LINE[status] = line + CONSTANT_HEADERS


class BoundedConnection(HttpToolsProtocol):
    def __init__(self, limits: ConnectionLimits, turn: Turn, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._limits, self._turn = limits, turn
        self._room = limits.max_head_bytes
        """Bytes that the head under way, or the next one, may still have; negative once it was refused."""
        self._clock: TimerHandle | None = None
        self._write_clock: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(Transport, JoinedWrites(transport, self._turn)))
        if len(self.connections) > self._limits.max_connections:
            self.app = _probes_alone(self.app)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_clock()
        self.resume_writing()

    # ---- reading ----

    def data_received(self, data: bytes) -> None:
        if len(data) > self._room:
            self._receive_in_pieces(data)
            return
        super().data_received(data)
        if self._in_head() or self.cycle is None or self.cycle.more_body:
            self._wait_for_the_rest(len(data))
        elif self._clock:
            self._stop_clock()
            self._room = self._limits.max_head_bytes

    def _in_head(self) -> bool:
        return self.scope is not None and "method" not in self.scope

    def _receive_in_pieces(self, data: bytes) -> None:
        """Takes more at once than a head may have, in pieces that it may."""
        while data and self._room > 0 and not self.transport.is_closing():
            piece, data = data[: self._room], data[self._room :]
            self.data_received(piece)

    def _wait_for_the_rest(self, received: int) -> None:
        if self._room < 0 or self.transport.is_closing():
            return
        if not self._clock:
            self._start_clock()
        if not self._in_head():
            self._room = self._limits.max_head_bytes
        elif self._is_answered():  # otherwise some of these bytes are another request's
            self._room -= received
            if self._room <= 0:
                limit = self._limits.max_head_bytes
                self._refuse(HeadTooLarge(f"The request line and headers may have {limit} bytes; send fewer."))

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(self._limits.read_seconds, self._too_late)

    def _stop_clock(self) -> None:
        if self._clock:
            self._clock.cancel()
            self._clock = None

    def _too_late(self) -> None:
        self._clock = None
        if not self._is_answered():
            if self.cycle.more_body:  # the service reads it, and answers
                self.cycle.scope["state"][LATE] = True
                self.cycle.message_event.set()
            self._start_clock()
        elif self._in_head():
            self._refuse(
                RequestTimeout(f"The request took longer than {self._limits.read_seconds:g} seconds; send it faster.")
            )
        else:
            self.transport.close()

    # ---- refusing ----

    def send_400_response(self, msg: str) -> None:
        self._refuse(BadRequest(f"{msg.rstrip('.')}; send HTTP/1.1."))

    def _unsupported_upgrade_warning(self) -> None:
        # Without a body the request is answered as if it had not asked; a body the parser does not read any more.
        if any(name in BODY_HEADERS and value != b"0" for name, value in self.headers):
            self.cycle.disconnected = True  # its task has not begun yet
            self.cycle = None  # type: ignore[assignment]
            self._refuse(BadRequest("Other protocols are not spoken here; send HTTP/1.1 without the header Upgrade."))

    def _refuse(self, problem: Problem) -> None:
        """Answers what is not yet a request, and closes; only closes where another answer is under way."""
        self._room = -1
        self._stop_clock()
        if not self._is_answered():
            self.transport.close()
            return
        response = problem.response((self.url or b"").decode("latin-1"))
        headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
        lines = [STATUS_LINE[problem.status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", response.body]
        self.transport.write(b"".join(lines))
        self.transport.write_eof()
        self._clock = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    # ---- writing ----

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self._write_clock:
            self._write_clock = self.loop.call_later(self._limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_clock:
            self._write_clock.cancel()
            self._write_clock = None


def _probes_alone(app: Any) -> Any:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBES:
            await app(scope, receive, send)
            return
        problem = TooManyConnections(
            "Too many connections are open; use one for several requests, or come later.", headers=CLOSE_AND_COME_LATER
        )
        await problem.response(scope["path"])(scope, receive, send)

    return refuse
