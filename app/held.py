"""An answer whose end is held back until its row is in the log, for REVIEW_LM_LOG_DURABILITY=commit."""

from starlette.types import Message, Send

LAST_EVENT = b"data: [DONE]\n\n"
"""What every stream of server-sent events ends with."""


class HeldAnswer:
    """Passes messages on, but keeps those that tell the client that it has all: `release` or `forget` them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._ended = False
        self.begun = False

    async def send(self, message: Message) -> None:
        self._ended = self._ended or _is_last(message)
        self._held.append(message)
        if not self._ended and message["type"] != "http.response.start":
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


def _is_last(message: Message) -> bool:
    if message["type"] != "http.response.body":
        return False
    return not message.get("more_body", False) or message.get("body") == LAST_EVENT
