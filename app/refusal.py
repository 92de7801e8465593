"""Answers of problems to requests whose bodies may not have been read, or whose answers have begun."""

import asyncio
import contextlib
import json

from starlette.types import Receive, Send

from app.connection import LINGER_SECONDS
from app.errors import Problem, Unlogged
from app.exchange import Exchange
from app.held import LAST_EVENT


async def refuse(problem: Problem, exchange: Exchange, send: Send) -> None:
    """Answers, perhaps before the body was read; `end_refusal` has to follow."""
    exchange.refused = True
    response = problem.response(exchange.path)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})


async def end_refusal(receive: Receive | None, send: Send) -> None:
    """Ends the answer when the rest of the body has been thrown away, or after a while.

    A connection that is closed while the client still sends takes the answer with it.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while receive and (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body"})


async def tell_unlogged(send: Send, exchange: Exchange, begun: bool) -> None:
    """Ends an answer whose row is not in the database: with a problem, or in a stream with an event that has it."""
    problem = Unlogged("The request log cannot be written at present; ask again later.", headers={"Retry-After": "5"})
    # A body of its own, as the log's thread may be reading the one before.
    exchange.response_body = exchange.response_body.removesuffix(LAST_EVENT) if begun else bytearray()
    if begun:
        event = f"data: {json.dumps(problem.event(exchange.path))}\n\n".encode()
        await send({"type": "http.response.body", "body": event + LAST_EVENT})
    else:
        await refuse(problem, exchange, send)
