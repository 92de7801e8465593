"""Routes whose body and answer are pydantic models, read and written by pydantic alone.

FastAPI's own way into a route (its layers, its router, dependencies, exit stacks, a parsed body that is then validated)
takes longer than the model does for a keystroke; its page of the API stays as it is.
"""

import typing
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.error_handlers import invalid_request
from app.errors import Problem
from app.service import Client

Endpoint = Callable[[Any, Client], Coroutine[Any, Any, BaseModel | Response]]
JSON_TYPE = b"application/json"
JSON = (b"content-type", JSON_TYPE)


class DirectRoute(APIRoute):
    """A route of an `async` function of two parameters: `request`, a pydantic model, and `client`, the HTTP request."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        body: type[BaseModel] = typing.get_type_hints(endpoint)["request"]
        exclude_none = self.response_model_exclude_none

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            client = Client(scope, receive, send)
            whole = await receive()  # as `ExchangeMiddleware` hands it on
            try:
                result = await endpoint(_parsed(body, scope, whole["body"]), client)
            except RequestValidationError as error:
                result = invalid_request(error).response(scope["path"])
            except Problem as problem:
                result = problem.response(scope["path"])
            if isinstance(result, Response):
                await result(scope, receive, send)
                return
            content = to_json(result, exclude_none=exclude_none)
            headers = [JSON, (b"content-length", b"%d" % len(content))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": content})

        self.app = answer


class DirectRoutes:
    """Leads what is posted to a direct route there by its path, and all else on to FastAPI."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._routes = {route.path: route for route in routes if isinstance(route, DirectRoute)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            scope["route"] = route  # as FastAPI's router leaves it to the telemetry
            await route.app(scope, receive, send)


def _parsed(body: type[BaseModel], scope: Scope, content: bytes) -> BaseModel:
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if content_type != JSON_TYPE and content_type.partition(b";")[0].strip().lower() != JSON_TYPE:
        message = "Send JSON, and say so with `Content-Type: application/json`"
        raise RequestValidationError([{"type": "media_type", "loc": ("body",), "msg": message}])
    try:
        return body.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from None
