"""Answers that come piece by piece, as server-sent events, while the engine writes them."""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.calls import Result, Timing
from app.errors import Problem
from app.exchange import Exchange
from app.generation import FinishReason
from app.logprobs import TokenLogprob
from app.service import ended_by

TOGETHER_SECONDS = 0.05
"""Pieces of so long a time are told together: nobody reads faster, and telling costs as much as a token.

These times begin at once for all streams, so that the event loop, which takes the engine's interpreter for it, wakes
once for all of them.
"""

Event = dict[str, Any]
Written_contra = TypeVar("Written_contra", contravariant=True)


@dataclass(slots=True)
class Piece:
    """What is new of one review."""

    index: int
    text: str = ""
    finish_reason: FinishReason | None = None
    tokens: list[TokenLogprob] = field(default_factory=list)


class Pieces:
    """What the engine tells of reviews as they grow, mostly from a thread of its own, for the event loop to read.

    The first piece and the last are told at once. What a slow reader has not fetched yet is joined, a piece for each
    review, so that its backlog is no more than text.
    """

    def __init__(self) -> None:
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._told: deque[tuple[int, str, FinishReason | None, Sequence[TokenLogprob]]] = deque()
        self._news = asyncio.Event()
        self._woken_in: float | None = None
        """The number of the time in which the event loop was last told to look."""
        self._ended = False

    def emit(self, index: int, text: str, reason: FinishReason | None, tokens: Sequence[TokenLogprob]) -> None:
        self._told.append((index, text, reason, tokens))
        number = time.monotonic() // TOGETHER_SECONDS
        if reason or number != self._woken_in:
            self._woken_in = number
            if threading.get_ident() == self._thread:
                self._news.set()
            else:
                self._loop.call_soon_threadsafe(self._news.set)

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        while not self._ended or self._told:
            await self._news.wait()
            self._news.clear()
            for piece in self._take():
                yield piece

    def _take(self) -> list[Piece]:
        pieces: dict[int, Piece] = {}
        while self._told:
            index, text, reason, tokens = self._told.popleft()
            piece = pieces.setdefault(index, Piece(index))
            piece.text += text
            piece.finish_reason = reason
            piece.tokens += tokens
        return list(pieces.values())


class Wording(Protocol[Written_contra]):
    """How a route words its events."""

    def piece(self, piece: Piece) -> list[Event]: ...

    def summary(self, written: Written_contra) -> list[Event]:
        """What ends a stream that came to its end."""


def event_stream(
    pieces: Pieces, writing: "asyncio.Future[tuple[Result, Timing]]", exchange: Exchange, wording: Wording[Result]
) -> Response:
    """Answers with what `writing`, which was admitted already, tells `pieces`, and then `[DONE]`."""
    return _EventStream(_lines(pieces, writing, exchange, wording), writing)


class _EventStream(StreamingResponse):
    """Ends the writing when the client leaves. Starlette's group of tasks for that takes as long as a token does."""

    def __init__(self, lines: AsyncIterator[str], writing: "asyncio.Future[Any]") -> None:
        super().__init__(lines, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._writing = writing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ended_by(receive, self._writing):
            await self.stream_response(send)


async def _lines(
    pieces: Pieces, writing: "asyncio.Future[tuple[Result, Timing]]", exchange: Exchange, wording: Wording[Result]
) -> AsyncIterator[str]:
    writing.add_done_callback(lambda _: pieces.end())
    try:
        async for piece in pieces:
            for event in wording.piece(piece):
                yield event_line(event)
        written, exchange.timing = writing.result()
    except Problem as problem:
        yield event_line(problem.event(exchange.path))
    else:
        for event in wording.summary(written):
            yield event_line(event)
    yield "data: [DONE]\n\n"


def event_line(event: Event) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
