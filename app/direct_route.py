"""Routes whose body and answer are pydantic models, read and written by pydantic alone.

FastAPI's own way into a route (dependencies, exit stacks, a parsed body that is then validated) takes longer than the
model does for a keystroke; its page of the API stays as it is.
"""

import typing
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from app.service import Client

Endpoint = Callable[[Any, Client], Coroutine[Any, Any, BaseModel | Response]]


class DirectRoute(APIRoute):
    """A route of an `async` function of two parameters: `request`, a pydantic model, and `client`, the HTTP request."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        body: type[BaseModel] = typing.get_type_hints(endpoint)["request"]
        exclude_none = self.response_model_exclude_none

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            client = Client(scope, receive, send)
            whole = await receive()  # as `ExchangeMiddleware` hands it on
            result = await endpoint(_parsed(body, client, whole["body"]), client)
            if not isinstance(result, Response):
                content = result.model_dump_json(exclude_none=exclude_none)
                result = Response(content, media_type="application/json")
            await result(scope, receive, send)

        self.app = answer


def _parsed(body: type[BaseModel], client: Client, content: bytes) -> BaseModel:
    media_type = client.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        message = "Send JSON, and say so with `Content-Type: application/json`"
        raise RequestValidationError([{"type": "media_type", "loc": ("body",), "msg": message}])
    try:
        return body.model_validate_json(content)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from None
