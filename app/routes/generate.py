"""POST /generate: sample reviews, whole or streamed."""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from app.calls import Timing
from app.errors import MODEL_PROBLEMS, Problem, documented
from app.exchange import Exchange
from app.generation import FinishReason, Generation, GenerationSettings, generate
from app.sampling import SamplingSettings
from app.schemas import GenerateRequest, GenerateResponse, GenerateUsage, Review
from app.service import Client, Service, exchange_of, require_at_most, service_of, tokens_of

router = APIRouter(tags=["model"])


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses={
        200: {"content": {"text/event-stream": {"example": 'data: {"index": 0, "text": " great"}\n\n'}}},
        **documented(*MODEL_PROBLEMS),
    },
)
async def write_reviews(request: GenerateRequest, client: Client) -> GenerateResponse | Response:
    """Writes `n` reviews. The seed that was used is in the answer; it gives the same text alone and under load.

    With `stream`, server-sent events: one for each piece of text, one with the `finish_reason` of each review, one with
    `usage` and `seed`, then `[DONE]`.
    """
    service, exchange = service_of(client), exchange_of(client)
    _check_limits(request, service)
    settings = _settings(request)
    tokens = tokens_of(len(request.prompt)) + settings.n * settings.max_tokens
    if request.stream:
        pieces = _Pieces()
        task = generate(service.model, request.prompt, request.stars, settings, pieces.emit)
        # Admitted here, so that what would be an error is one before the first byte.
        writing = service.engine.submit(task, settings.n, tokens, exchange.arrived)
        return StreamingResponse(
            _streamed(pieces, writing, settings.seed, service.model.name, exchange),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )
    task = generate(service.model, request.prompt, request.stars, settings)
    written = await service.run(exchange, task, settings.n, tokens, client)
    usage = _usage(written)
    exchange.tokens_in, exchange.tokens_out = usage.prompt_tokens, usage.generated_tokens
    return GenerateResponse(
        reviews=[Review.model_validate(review) for review in written.reviews],
        seed=settings.seed,
        usage=usage,
        model=service.model.name,
    )


class _Pieces:
    """What the engine's thread tells of reviews as they grow, for the event loop to read.

    What a slow reader has not fetched yet is joined, a piece for each review, so that its backlog is no more than text.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: deque[tuple[int, str, FinishReason | None]] = deque()
        self._news = asyncio.Event()
        self._ended = False

    def emit(self, index: int, text: str, reason: FinishReason | None) -> None:
        self._told.append((index, text, reason))
        if len(self._told) == 1:  # otherwise the reader has been woken already
            self._loop.call_soon_threadsafe(self._news.set)

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while not self._ended or self._told:
            await self._news.wait()
            self._news.clear()
            for event in self._take():
                yield event

    def _take(self) -> list[dict[str, Any]]:
        texts: dict[int, str] = {}
        reasons: dict[int, FinishReason] = {}
        while self._told:
            index, text, reason = self._told.popleft()
            texts[index] = texts.get(index, "") + text
            if reason:
                reasons[index] = reason
        events: list[dict[str, Any]] = [{"index": index, "text": text} for index, text in texts.items() if text]
        return events + [{"index": index, "finish_reason": reason} for index, reason in reasons.items()]


async def _streamed(
    pieces: _Pieces, writing: "asyncio.Future[tuple[Generation, Timing]]", seed: int, model: str, exchange: Exchange
) -> AsyncIterator[str]:
    writing.add_done_callback(lambda _: pieces.end())
    try:
        async for piece in pieces:
            yield _event(piece)
        written, exchange.timing = writing.result()
    except Problem as problem:
        yield _event({"error": problem.details().model_dump(exclude_none=True)})
    else:
        usage = _usage(written)
        exchange.tokens_in, exchange.tokens_out = usage.prompt_tokens, usage.generated_tokens
        yield _event({"usage": usage.model_dump(), "seed": seed, "model": model})
    finally:
        writing.cancel()  # where the client left, its rows are free at the next turn
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _check_limits(request: GenerateRequest, service: Service) -> None:
    limits = service.settings
    require_at_most("prompt", len(request.prompt), limits.max_characters, "characters")
    require_at_most("n", request.n, limits.max_n, "reviews")
    require_at_most("max_tokens", request.max_tokens, limits.max_tokens, "tokens")


def _settings(request: GenerateRequest) -> GenerationSettings:
    return GenerationSettings(
        n=request.n,
        max_tokens=request.max_tokens,
        sampling=SamplingSettings(
            temperature=request.temperature,
            top_k=request.top_k,
            top_p=request.top_p,
            min_p=request.min_p,
            repetition_penalty=request.repetition_penalty,
        ),
        stop=request.stop,
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
    )


def _usage(written: Generation) -> GenerateUsage:
    generated = sum(review.tokens for review in written.reviews)
    return GenerateUsage(prompt_tokens=written.prompt_tokens, generated_tokens=generated)
