"""POST /generate: sample reviews, whole or streamed."""

import asyncio
import json
import secrets
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
from app.service import CurrentExchange, CurrentService, Service, require_at_most, tokens_of

router = APIRouter(tags=["model"])


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses={
        200: {"content": {"text/event-stream": {"example": 'data: {"index": 0, "text": " great"}\n\n'}}},
        **documented(*MODEL_PROBLEMS),
    },
)
async def write_reviews(
    request: GenerateRequest, service: CurrentService, exchange: CurrentExchange
) -> GenerateResponse | Response:
    """Writes `n` reviews. The seed that was used is in the answer; it gives the same text alone and under load.

    With `stream`, server-sent events: one for each piece of text, one with the `finish_reason` of each review, one with
    `usage` and `seed`, then `[DONE]`.
    """
    _check_limits(request, service)
    settings = _settings(request)
    tokens = tokens_of(len(request.prompt)) + settings.n * settings.max_tokens
    if request.stream:
        events = _Events()
        task = generate(service.model, request.prompt, request.stars, settings, events.emit)
        # Admitted here, so that what would be an error is one before the first byte.
        writing = service.engine.submit(task, settings.n, tokens, exchange.arrived)
        return StreamingResponse(
            _streamed(events, writing, settings.seed, service.model.name, exchange),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    task = generate(service.model, request.prompt, request.stars, settings)
    written = await service.run(exchange, task, settings.n, tokens)
    usage = _usage(written)
    exchange.tokens_in, exchange.tokens_out = usage.prompt_tokens, usage.generated_tokens
    return GenerateResponse(
        reviews=[Review.model_validate(review) for review in written.reviews],
        seed=settings.seed,
        usage=usage,
        model=service.model.name,
    )


class _Events:
    """What the engine's thread tells of a review as it grows, for the event loop to read."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def emit(self, index: int, text: str, reason: FinishReason | None) -> None:
        if text:
            self._loop.call_soon_threadsafe(self.queue.put_nowait, {"index": index, "text": text})
        if reason:
            self._loop.call_soon_threadsafe(self.queue.put_nowait, {"index": index, "finish_reason": reason})


async def _streamed(
    events: _Events, writing: "asyncio.Future[tuple[Generation, Timing]]", seed: int, model: str, exchange: Exchange
) -> AsyncIterator[str]:
    writing.add_done_callback(lambda _: events.queue.put_nowait(None))
    try:
        while (event := await events.queue.get()) is not None:
            yield _event(event)
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
