"""The bodies of requests: read whole, within the limits for each of them and for all that are held at once."""

from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from app.connection import CLOSE_AND_COME_LATER, LATE
from app.errors import BodyTooLarge, FieldProblem, InvalidRequest, RequestTimeout, TooManyBodies
from app.exchange import Exchange, RequestHeaders
from app.settings import Settings

MANY_BYTES = 4096
"""A body of fewer bytes is not counted: it cannot hold so many strings, nor can the connections so many of them."""
CLOSING = {"Connection": "close"}


class RequestBodies:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held = 0

    async def read(self, exchange: Exchange, scope: Scope, receive: Receive, headers: RequestHeaders) -> bytes:
        """The body, whose bytes are held until `let_go`; raises the problem that it is, or ClientDisconnect."""
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
            exchange.unread = more = message.get("more_body", False)
            if more and LATE in scope["state"]:
                seconds = self._settings.read_seconds
                raise RequestTimeout(f"The body took longer than {seconds:g} seconds; send it faster.", headers=CLOSING)
            if len(body) > MANY_BYTES:
                self._hold(exchange, len(body))
        if max(size, len(body)) > limit:
            raise BodyTooLarge(f"The body may have {limit} bytes; send less at once.", headers=CLOSING)
        if exchange.held_bytes:
            _check_strings(body, self._settings.max_strings)
        return bytes(body)

    def _hold(self, exchange: Exchange, size: int) -> None:
        """Counts that so much of a body is there. Alone, a body of any size has room."""
        self._held += size - exchange.held_bytes
        exchange.held_bytes = size
        limit = self._settings.max_held_body_bytes
        if self._held > limit and self._held != size:
            self.let_go(exchange)
            raise TooManyBodies(
                f"All request bodies together may have {limit} bytes; come again in a second.",
                headers=CLOSE_AND_COME_LATER,
            )

    def let_go(self, exchange: Exchange) -> None:
        """To be called when the exchange has ended."""
        self._held -= exchange.held_bytes
        exchange.held_bytes = 0


def _check_strings(body: bytearray, limit: int) -> None:
    """Refuses JSON of very many strings: each unknown field is an error, and takes as long as a whole request."""
    quotes = body.count(b'"') - body.count(b'\\"')
    if quotes > 2 * limit:
        problem = f"holds more than {limit} strings, the names of fields counted; send fewer"
        raise InvalidRequest(f"body: {problem}", errors=[FieldProblem(field="body", problem=problem)])


def replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read already, and then whatever the connection brings: that the client left."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return replay
