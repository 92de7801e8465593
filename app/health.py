"""What GET /health tells: how each worker process is, and what that makes of the service."""

import os
import time
from typing import Literal

from pydantic import BaseModel, Field

from app.log.request_log import RequestLog
from app.serving import Serving


class LogHealth(BaseModel):
    written: int = Field(description="rows written since the start")
    waiting: int = Field(description="rows that wait to be written")
    waiting_bytes: int = Field(description="memory that those rows take")
    dropped: int = Field(
        description="rows lost because there was no room for them, or no time to write them at the end"
    )
    deleted: int = Field(description="rows deleted since the start because they were too old or too many")
    error: str | None = Field(None, description="why the last attempt to write failed; null while writing works")


class WorkerHealth(BaseModel):
    """One process that answers requests."""

    pid: int
    ready: bool
    model: str = Field(description="what answers the requests that begin now")
    loading: bool = Field(description="a new artifact is being loaded beside it")
    finishing: list[str] = Field(description="models before it that finish what they began")
    refused: str | None = Field(description="why the last artifact was not taken; null if it was")
    rows: int = Field(description="rows of work that wait or run")
    log: LogHealth


class Health(BaseModel):
    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="`degraded`: answers are right, but the log is not written, or a worker is missing; "
        "`unavailable`: no answers (503)"
    )
    model: str = Field(description="what answers; while workers take a new one in turn, that of the worker asked")
    ready: bool
    uptime_seconds: float
    rows: int = Field(description="rows of work that wait or run, of all workers")
    refused: str | None = Field(description="why the last new artifact was not taken, so that the old one answers")
    log: LogHealth = Field(description="of all workers together")
    workers: list[WorkerHealth] = Field(description="those that are there, the one that answered first")


async def workers_of(serving: Serving) -> list[WorkerHealth]:
    """This worker, and the others that are there."""
    own = worker_health(serving)
    if not serving.peers:
        return [own]
    return [own, *map(WorkerHealth.model_validate_json, await serving.peers.others())]


def worker_health(serving: Serving) -> WorkerHealth:
    service, *former = serving.services
    return WorkerHealth(
        pid=os.getpid(),
        ready=serving.answers,
        model=service.name,
        loading=serving.loading,
        finishing=[each.name for each in former],
        refused=serving.refused,
        rows=serving.rows,
        log=_log_health(serving.log),
    )


def health_of(serving: Serving, workers: list[WorkerHealth]) -> Health:
    """What these workers come to. One that is missing takes no requests, and another is on its way."""
    ready = all(worker.ready for worker in workers)
    log = _total([worker.log for worker in workers])
    missing = len(workers) < serving.workers
    refused = [worker.refused for worker in workers if worker.refused]
    if serving.peers and (for_all := serving.peers.refused()):
        refused.append(for_all)
    return Health(
        status=("degraded" if log.error or missing else "ok") if ready else "unavailable",
        model=workers[0].model,
        ready=ready,
        uptime_seconds=round(time.monotonic() - serving.started, 3),
        rows=sum(worker.rows for worker in workers),
        refused=refused[0] if refused else None,
        log=log,
        workers=workers,
    )


def _log_health(log: RequestLog) -> LogHealth:
    return LogHealth(
        written=log.written,
        waiting=log.waiting,
        waiting_bytes=log.waiting_bytes,
        dropped=log.dropped,
        deleted=log.deleted,
        error=log.error,
    )


def _total(logs: list[LogHealth]) -> LogHealth:
    return LogHealth(
        written=sum(log.written for log in logs),
        waiting=sum(log.waiting for log in logs),
        waiting_bytes=sum(log.waiting_bytes for log in logs),
        dropped=sum(log.dropped for log in logs),
        deleted=sum(log.deleted for log in logs),
        error=next((log.error for log in logs if log.error), None),
    )
