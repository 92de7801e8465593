"""Starts the service: in this process, or in several that this one starts."""

import functools
import gc
import logging
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.artifact import Artifact, load_artifact
from app.connection import BoundedConnection, ConnectionLimits, put_headers_behind_status_lines
from app.console import fail
from app.errors import StartupError
from app.joined_writes import Turn
from app.log.request_log import RequestLog
from app.main import create_app
from app.peers import Peers
from app.server import DrainingServer, WorkersServer
from app.settings import Settings
from app.workers import Run, Workers

logger = logging.getLogger(__name__)


def start(settings: Settings) -> int:
    """Runs until the service is stopped; returns the exit status, or raises StartupError."""
    return _answer(settings) if settings.workers == 1 else _have_answered(settings)


def _answer(settings: Settings) -> int:
    """Answers in this process."""
    app = create_app(settings)
    listener = _listen(settings)
    _settle()
    return _run(DrainingServer, settings, app, listener)


def _have_answered(settings: Settings) -> int:
    """Answers in several processes that this one starts."""

    def prepare(artifact: Artifact, peers: Peers) -> Run:
        try:
            app = create_app(settings, artifact, peers)
        except StartupError as error:
            sys.exit(fail(str(error)))
        return functools.partial(_run, WorkersServer, settings, app, listener)

    RequestLog(settings).close()  # so that what is wrong with it is said once
    workers = Workers(settings.workers, functools.partial(load_artifact, settings), prepare)
    listener = _listen(settings)
    _settle()
    return workers.run()


def _settle() -> None:
    gc.freeze()
    # Seldom, as nothing here makes cycles but what fails, and a look at all that young objects are takes its time.
    gc.set_threshold(20_000)
    gc.enable()


def _run(server_class: type[DrainingServer], settings: Settings, app: FastAPI, listener: socket.socket) -> int:
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_bounded(settings),
        ws="none",
        log_config=None,
        log_level=settings.console_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who is behind a proxy
        timeout_keep_alive=settings.keep_alive_seconds,
    )
    server = server_class(config, app.state.serving, settings.drain_seconds, settings.shutdown_seconds)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _bounded(settings: Settings) -> Any:
    put_headers_behind_status_lines()
    limits = ConnectionLimits(
        settings.max_head_bytes, settings.max_connections, settings.read_seconds, settings.write_seconds
    )
    return functools.partial(BoundedConnection, limits, Turn())


def _listen(settings: Settings) -> socket.socket:
    """Takes the port before uvicorn does, as uvicorn would tell of a port in use among lines of its own."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(
            f"{settings.host} port {settings.port} cannot be listened on ({error.strerror}); "
            "set REVIEW_LM_HOST and REVIEW_LM_PORT to an address and a port that are free."
        ) from None
    port = listener.getsockname()[1]
    logger.info("listening on http://%s:%d, which describes itself at /docs", settings.host, port)
    return listener
