"""The service as a Ray Serve deployment: `serve deploy deploy/ray/serve.yaml`.

Each replica is the whole service with an engine and a model of its own. Its settings are the REVIEW_LM_* variables of
its node or of the file; those of the address, the connections and the signals are Ray's to keep, not this service's.
"""

from fastapi import FastAPI
from ray import serve
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.console import set_up_console
from app.main import create_app
from app.process import set_up_process
from app.settings import read_settings


def build() -> FastAPI:
    """The same app as `python -m app` serves, built in the replica's own process."""
    set_up_process()
    settings = read_settings()
    set_up_console(settings.console_format, settings.console_level)
    app = create_app(settings)
    app.add_middleware(WithoutRequestID)
    return app


class WithoutRequestID:
    """Leaves `X-Request-ID` to Ray's proxy, which has one for each request and would send it a second time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def without(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [pair for pair in message["headers"] if pair[0] != b"x-request-id"]
            await send(message)

        await self._app(scope, receive, without)


class ReviewLM:
    """What Ray asks a replica besides requests."""

    app: FastAPI

    def check_health(self) -> None:
        """Has Ray replace a replica whose engine has ended."""
        if not self.app.state.serving.service.engine.alive:
            raise RuntimeError("the engine has ended")


service = serve.deployment(serve.ingress(build)(ReviewLM)).bind()
