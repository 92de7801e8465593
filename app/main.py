"""Puts the service together."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.documented_errors import describe_errors
from app.engine import Engine
from app.error_handlers import install_error_handlers
from app.errors import StartupError
from app.exchange_middleware import ExchangeMiddleware
from app.generation import GenerationSettings, generate
from app.keys import read_keys
from app.language_model import load_language_model
from app.log.request_log import RequestLog
from app.metrics_file import read_metrics
from app.next_word import next_words
from app.openapi import describe_limits
from app.routes import completions, models, next_word, operations, page, score
from app.routes import generate as generate_route
from app.sampling import SamplingSettings
from app.scoring import encode
from app.scoring import score as score_texts
from app.service import Service
from app.settings import Settings
from app.spelling import Spelling
from app.telemetry import Telemetry

DESCRIPTION = "A recurrent language model of reviews: next-word suggestions, sample reviews, perplexity."


def create_app(settings: Settings) -> FastAPI:
    """Builds a fresh service; raises StartupError if its artifact or its log cannot be used."""
    keys = read_keys(settings.api_keys, settings.api_keys_file)
    model = load_language_model(settings.model_directory, settings.cache_bytes, settings.model_sha256)
    telemetry = Telemetry()
    tracing = _tracing(model.name) if settings.otel_endpoint else None
    service = Service(
        settings=settings,
        model=model,
        metrics=read_metrics(settings.model_directory),
        spelling=Spelling(model.vocabulary),
        engine=Engine(
            model, settings.max_waiting_rows, settings.max_waiting_tokens, settings.deadline_seconds, telemetry
        ),
        log=RequestLog(settings),
        telemetry=telemetry,
    )
    service.watch()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.log.start()
        service.engine.start()
        await _warm_up(service)
        service.ready = True
        yield
        service.ready = False
        service.engine.close()
        await asyncio.to_thread(service.log.close)
        if tracing:
            await asyncio.to_thread(tracing[1])

    routers = [each.router for each in (next_word, generate_route, score, completions, models, operations, page)]
    app = FastAPI(
        title="review-lm",
        version=model.name,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Handed over rather than included, as every router that is included is a detour of each request.
        routes=[route for router in routers for route in router.routes],
    )
    app.state.service = service
    app.mount("/static/swagger-ui", page.PageFiles(page.SWAGGER_UI))
    app.mount("/static", page.PageFiles(page.STATIC))
    install_error_handlers(app)
    describe_errors(app)
    describe_limits(app, settings, model.name)
    app.add_middleware(
        ExchangeMiddleware, settings=settings, keys=keys, log=service.log, telemetry=telemetry, model=model.name
    )
    if settings.cors_origins:
        # Around the keys, as a browser asks without one whether it may ask.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Server-Timing", "Retry-After"],
        )
    if tracing:
        app.add_middleware(tracing[0])
    return app


def _tracing(version: str) -> tuple[Callable[[ASGIApp], ASGIApp], Callable[[], None]]:
    """What puts spans around the service, and what sends the last of them."""
    try:
        from app.tracing import TracingMiddleware, tracer_provider  # noqa: PLC0415
    except ImportError:
        raise StartupError(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for tracing; install review-lm[otel], or leave the variable out."
        ) from None
    provider = tracer_provider(version)
    return functools.partial(TracingMiddleware, provider=provider), provider.shutdown


async def _warm_up(service: Service) -> None:
    """Answers one request of each kind, twice: TorchScript optimises a method after its first runs."""
    model, engine = service.model, service.engine
    settings = GenerationSettings(n=2, max_tokens=4, sampling=SamplingSettings(), stop=[], seed=0)
    texts = encode(model, ["The food was great."])
    for _ in range(2):
        await engine.submit(next_words(model, service.spelling, "The food was", "", 5, None, False))
        await engine.submit(generate(model, "The food", None, settings), settings.n)
        await engine.submit(score_texts(model, texts, None, True))
