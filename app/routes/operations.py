"""What operators and orchestrators ask: GET /health, /livez, /readyz, /metrics and /model."""

from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from app.documented_errors import documented
from app.errors import EARLY_PROBLEMS, NotReady
from app.health import Health, health_of, workers_of
from app.service import Client, service_of
from app.serving import Serving

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class ModelDescription(BaseModel):
    model: str
    description: dict[str, Any] = Field(description="the artifact's description of itself")
    limits: dict[str, float] = Field(description="limits of this service, each a setting")
    metrics: dict[str, Any] | None = Field(
        description="the artifact's `metrics.json`: how it was trained and how good it is; null where it has none"
    )


@router.get("/livez", responses={})
async def livez() -> Alive:
    """Tells that the process answers."""
    return Alive()


@router.get("/readyz", responses=documented(NotReady))
async def readyz(client: Client) -> Alive:
    """Tells that the model answers: 200 after its warm-up, 503 before it and once its thread has ended.

    Of several workers each that takes requests has to.
    """
    if not all(worker.ready for worker in await workers_of(_serving_of(client))):
        raise NotReady("The model does not answer yet, or the service is stopping; the server's output tells more.")
    return Alive()


@router.get("/health", response_model=Health, responses={503: {"model": Health, "description": "No answers."}})
async def health(client: Client) -> Response:
    """One page on everything, for a person or a probe."""
    serving = _serving_of(client)
    page = health_of(serving, await workers_of(serving))
    return JSONResponse(page.model_dump(), 200 if page.ready else 503)


@router.get("/model", responses=documented(*EARLY_PROBLEMS))
async def describe_model(client: Client) -> ModelDescription:
    """The artifact's own description and figures, and the limits of this service."""
    service = service_of(client)
    return ModelDescription(
        model=service.model.name,
        description=service.model.description,
        limits=service.settings.limits(),
        metrics=service.metrics,
    )


@router.get("/metrics", response_class=Response, responses=documented(*EARLY_PROBLEMS))
async def metrics(client: Client) -> Response:
    """What Prometheus scrapes: of several workers, what they come to together."""
    serving = _serving_of(client)
    await workers_of(serving)  # the others share their values when they are asked
    return Response(serving.telemetry.page(), media_type=CONTENT_TYPE_LATEST)


def _serving_of(client: Client) -> Serving:
    serving: Serving = client.app.state.serving
    return serving
