"""What operators and orchestrators ask: GET /health, /livez, /readyz, /metrics and /model."""

import time
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from app.documented_errors import documented
from app.errors import EARLY_PROBLEMS, NotReady
from app.service import Client, Service, service_of

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class LogHealth(BaseModel):
    written: int = Field(description="rows written since the start")
    waiting: int = Field(description="rows that wait to be written")
    waiting_bytes: int = Field(description="memory that those rows take")
    dropped: int = Field(
        description="rows lost because there was no room for them, or no time to write them at the end"
    )
    deleted: int = Field(description="rows deleted since the start because they were too old or too many")
    error: str | None = Field(None, description="why the last attempt to write failed; null while writing works")


class Health(BaseModel):
    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`degraded`: answers are right, but the log is not written; `unavailable`: no answers (503)"
    )
    model: str
    ready: bool
    uptime_seconds: float
    rows: int = Field(description="rows of work that wait or run")
    log: LogHealth


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
    """Tells that the model answers: 200 after its warm-up, 503 before it and once its thread has ended."""
    if not _answers(service_of(client)):
        raise NotReady("The model does not answer yet, or the service is stopping; the server's output tells more.")
    return Alive()


@router.get("/health", response_model=Health, responses={503: {"model": Health, "description": "No answers."}})
async def health(client: Client) -> Response:
    """One page on everything, for a person or a probe."""
    service = service_of(client)
    answers = _answers(service)
    log = service.log
    page = Health(
        status=("degraded" if log.error else "ok") if answers else "unavailable",
        model=service.model.name,
        ready=answers,
        uptime_seconds=round(time.monotonic() - service.started, 3),
        rows=service.engine.admitted_rows,
        log=LogHealth(
            written=log.written,
            waiting=log.waiting,
            waiting_bytes=log.waiting_bytes,
            dropped=log.dropped,
            deleted=log.deleted,
            error=log.error,
        ),
    )
    return JSONResponse(page.model_dump(), 200 if answers else 503)


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
    """What Prometheus scrapes."""
    return Response(service_of(client).telemetry.page(), media_type=CONTENT_TYPE_LATEST)


def _answers(service: Service) -> bool:
    return service.ready and service.engine.alive
