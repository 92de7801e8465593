"""Runs the service: `python -m app`, set up by the REVIEW_LM_* variables of `app/settings.py`."""

import functools
import gc
import logging
import signal
import socket
import sys
import warnings
from typing import Any

# Imports make a million objects that stay: looking through them for garbage takes half a second of every start.
gc.disable()
# Held back until the server takes it: it must neither be missed nor end a service that starts.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
# torch says so at its import, and the service needs none.
warnings.filterwarnings("ignore", message="Failed to initialize NumPy")

import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402

from app.artifact import Artifact, load_artifact  # noqa: E402
from app.connection import (  # noqa: E402
    BoundedConnection,
    ConnectionLimits,
    put_headers_behind_status_lines,
)
from app.console import fail, set_up_console  # noqa: E402
from app.errors import StartupError  # noqa: E402
from app.keys import read_keys  # noqa: E402
from app.log.request_log import RequestLog  # noqa: E402
from app.main import create_app  # noqa: E402
from app.peers import Peers  # noqa: E402
from app.process import set_up_process  # noqa: E402
from app.server import DrainingServer, WorkersServer  # noqa: E402
from app.settings import Settings, read_settings  # noqa: E402
from app.workers import Run, Workers  # noqa: E402

logger = logging.getLogger(__name__)


def main() -> int:
    set_up_process()
    try:
        settings = read_settings()
        set_up_console(settings.console_format, settings.console_level)
        return _answer(settings) if settings.workers == 1 else _have_answered(settings)
    except StartupError as error:
        return fail(str(error))


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

    read_keys(settings.api_keys, settings.api_keys_file)
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
    return functools.partial(BoundedConnection, limits)


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


if __name__ == "__main__":
    sys.exit(main())
