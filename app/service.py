"""What answers a request: one model and its engine, and how routes reach them."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from app.admission import Work
from app.calls import Result, Task
from app.engine import Engine
from app.errors import FieldProblem, InvalidRequest
from app.exchange import Exchange
from app.language_model import LanguageModel
from app.scoring import EncodedText, encode
from app.settings import Settings
from app.spelling import Spelling

LONG = 4000
"""Characters that take longer to encode than a turn of the engine takes."""


@dataclass(frozen=True, eq=False, slots=True)
class Service:
    """A request keeps the one it began with, whichever model is served meanwhile."""

    name: str
    settings: Settings
    model: LanguageModel
    metrics: dict[str, Any] | None
    spelling: Spelling
    engine: Engine

    async def run(
        self,
        exchange: Exchange,
        task: Task[Result],
        work: Work,
        client: Request | None = None,
        in_loop: bool = False,
    ) -> Result:
        """Runs a task on the engine and notes in the exchange where the time went.

        With `client`, the task ends when that client leaves. Watching costs more than a task of a few steps does.
        """
        future = self.engine.submit(task, work, exchange.arrived, in_loop)
        with ended_by(client.receive, future) if client else contextlib.nullcontext():
            result, exchange.timing = await future
        return result

    async def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        """The tokens of the texts; where they are long, made in another thread, so that nobody waits for that."""
        if sum(map(len, texts)) < LONG:
            return encode(self.model, texts)
        return await asyncio.to_thread(encode, self.model, texts)


@contextlib.contextmanager
def ended_by(receive: Receive, future: "asyncio.Future[Any]") -> Iterator[None]:
    """Cancels `future` with the block, or when the client leaves; the block then ends with ClientDisconnect.

    Its rows are free at the engine's next turn.
    """
    # The body has been read: all that can still come from the client is that it left.
    leaving = asyncio.ensure_future(receive())
    leaving.add_done_callback(lambda _: future.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if leaving.done():
            raise ClientDisconnect from None
        raise  # it is the service that ends
    finally:
        leaving.cancel()


Client = Request
"""What a route is given to reach the service: FastAPI's dependencies cost as much as the rest of a route."""


def service_of(client: Client) -> Service:
    service: Service = exchange_of(client).service
    return service


def exchange_of(client: Client) -> Exchange:
    exchange: Exchange = client.scope["state"]["exchange"]
    return exchange


def tokens_of(characters: int) -> int:
    """About how many tokens a text of so many characters has: four characters each, and the mark at its end."""
    return characters // 4 + 1


def require_at_most(field: str, value: int, limit: int, what: str) -> None:
    """Refuses a request whose `field` is over a limit that is a setting."""
    if value > limit:
        raise invalid(field, f"has {value} {what}, the limit is {limit}")


def invalid(field: str, problem: str, code: str = "invalid_value") -> InvalidRequest:
    """What a request is refused with whose `field` is at fault."""
    return InvalidRequest(f"{field}: {problem}", errors=[FieldProblem(field=field, problem=problem, code=code)])
