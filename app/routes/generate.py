"""POST /generate: sample reviews, whole or streamed."""

import secrets
from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import Response

from app.admission import Work
from app.direct_route import DirectRoute
from app.documented_errors import documented
from app.errors import MODEL_PROBLEMS
from app.exchange import Exchange
from app.generation import Generation, GenerationSettings, generate
from app.routes.streaming import Event, Piece, Pieces, event_stream
from app.sampling import SamplingSettings
from app.schemas import GenerateRequest, GenerateResponse, GenerateUsage, Review
from app.service import Client, Service, exchange_of, require_at_most, service_of, tokens_of

router = APIRouter(tags=["model"], route_class=DirectRoute)


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
    settings = settings_of(request)
    tokens = tokens_of(len(request.prompt)) + settings.n * settings.max_tokens
    work = Work(settings.n, tokens, settings.n)
    if request.stream:
        pieces = Pieces()
        task = generate(service.model, request.prompt, request.stars, settings, pieces.emit)
        # Admitted here, so that what would be an error is one before the first byte.
        writing = service.engine.submit(task, work, exchange.arrived, begins_in_loop=not request.prompt)
        return event_stream(pieces, writing, exchange, _Wording(settings.seed, service.model.name, exchange))
    task = generate(service.model, request.prompt, request.stars, settings)
    written = await service.run(exchange, task, work, client)
    return GenerateResponse(
        reviews=[Review.model_validate(review) for review in written.reviews],
        seed=settings.seed,
        usage=_usage(written, exchange),
        model=service.model.name,
    )


@dataclass(frozen=True)
class _Wording:
    seed: int
    model: str
    exchange: Exchange

    def piece(self, piece: Piece) -> list[Event]:
        events: list[Event] = [{"index": piece.index, "text": piece.text}] if piece.text else []
        return events + ([{"index": piece.index, "finish_reason": piece.finish_reason}] if piece.finish_reason else [])

    def summary(self, written: Generation) -> list[Event]:
        return [{"usage": _usage(written, self.exchange).model_dump(), "seed": self.seed, "model": self.model}]


def _check_limits(request: GenerateRequest, service: Service) -> None:
    limits = service.settings
    require_at_most("prompt", len(request.prompt), limits.max_characters, "characters")
    require_at_most("n", request.n, limits.max_n, "reviews")
    require_at_most("max_tokens", request.max_tokens, limits.max_tokens, "tokens")


def settings_of(request: GenerateRequest) -> GenerationSettings:
    """What the engine is asked for; without a seed of the request's own, with one that is made up."""
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


def _usage(written: Generation, exchange: Exchange) -> GenerateUsage:
    exchange.tokens_in, exchange.tokens_out = written.prompt_tokens, written.generated_tokens
    return GenerateUsage(prompt_tokens=written.prompt_tokens, generated_tokens=written.generated_tokens)
