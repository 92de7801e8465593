"""Puts the service together."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app.artifact import Artifact, load_artifact
from app.direct_route import DirectRoutes
from app.documented_errors import describe_errors
from app.error_handlers import install_error_handlers
from app.errors import StartupError
from app.exchange_middleware import ExchangeMiddleware
from app.health import worker_health
from app.keys import read_keys
from app.log.request_log import RequestLog
from app.openapi import describe_limits
from app.peers import Peers
from app.routes import completions, generate, models, next_word, operations, page, score
from app.serving import Serving
from app.settings import Settings
from app.telemetry import Telemetry
from app.watched import watch

DESCRIPTION = "A recurrent language model of reviews: next-word suggestions, sample reviews, perplexity."


class Application(FastAPI):
    """FastAPI with what is added around it outside of its own layers, which a direct route then does without."""

    def build_middleware_stack(self) -> ASGIApp:
        added, self.user_middleware = self.user_middleware, []
        app = super().build_middleware_stack()
        self.user_middleware = added
        for layer, arguments, options in reversed(added):
            app = layer(app, *arguments, **options)
        return app


def create_app(settings: Settings, artifact: Artifact | None = None, peers: Peers | None = None) -> FastAPI:
    """Builds a fresh service; raises StartupError if its artifact or its log cannot be used.

    A worker of several is given the `artifact`, and its `peers`.
    """
    keys = read_keys(settings.api_keys, settings.api_keys_file)
    artifact = artifact or load_artifact(settings)
    tracing = _tracing() if settings.otel_endpoint else None
    telemetry = Telemetry(peers.folder, peers.number) if peers else Telemetry()
    serving = Serving(settings, artifact, RequestLog(settings), telemetry, peers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await serving.start()
        watch(serving)
        if peers:
            await peers.listen(lambda: _tell(serving))
        yield
        await serving.close()
        if peers:
            peers.close()
        if tracing:
            await asyncio.to_thread(tracing[1])

    routers = [each.router for each in (next_word, generate, score, completions, models, operations, page)]
    app = Application(
        title="review-lm",
        version=artifact.model.name,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # FastAPI's own would be asked at each request whether it is set up; `app/tracing.py` is this service's.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        # Handed over rather than included, as every router that is included is a detour of each request.
        routes=[route for router in routers for route in router.routes],
    )
    app.state.serving = serving
    app.mount("/static/swagger-ui", page.PageFiles(page.SWAGGER_UI))
    app.mount("/static", page.PageFiles(page.STATIC))
    install_error_handlers(app)
    describe_errors(app)
    describe_limits(app, settings, lambda: serving.service.name)
    app.add_middleware(DirectRoutes, routes=app.routes)
    app.add_middleware(
        ExchangeMiddleware, settings=settings, keys=keys, log=serving.log, telemetry=telemetry, serving=serving
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


def _tell(serving: Serving) -> str:
    """What the other workers are told when they ask."""
    serving.telemetry.share()
    return worker_health(serving).model_dump_json()


def _tracing() -> tuple[Callable[[ASGIApp], ASGIApp], Callable[[], None]]:
    """What puts spans around the service, and what sends the last of them."""
    try:
        from app.tracing import TracingMiddleware, tracer_provider  # noqa: PLC0415
    except ImportError:
        raise StartupError(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for tracing; install review-lm[otel], or leave the variable out."
        ) from None
    provider = tracer_provider()
    return functools.partial(TracingMiddleware, provider=provider), provider.shutdown
