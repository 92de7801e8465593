"""An answer whose end is held back until its row is in the log, for REVIEW_LM_LOG_DURABILITY=commit."""

from starlette.types import Message, Send

LAST_EVENT = b"data: [DONE]\n\n"
"""What every stream of server-sent events ends with."""
STREAM = b"text/event-stream"


class HeldAnswer:
    """Keeps messages, but for the pieces of a stream before its last: `release` or `forget` them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._ended = False
        self._streams = False
        self.begun = False

    async def send(self, message: Message) -> None:
        self._held.append(message)
        if message["type"] == "http.response.start":
            self._streams = _is_stream(message)
            return
        self._ended = self._ended or not self._streams or _is_last(message)
        if not self._ended:
            await self.release()

    async def release(self) -> None:
        """Sends what is held."""
        held, self._held = self._held, []
        for message in held:
            self.begun = True
            await self._send(message)

    def forget(self) -> None:
        """Drops what is held, so that another end can be sent."""
        self._held = []


def _is_stream(start: Message) -> bool:
    return any(name == b"content-type" and value.startswith(STREAM) for name, value in start["headers"])


def _is_last(message: Message) -> bool:
    return not message.get("more_body", False) or message.get("body") == LAST_EVENT
