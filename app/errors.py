"""Every failure the service can answer with: RFC 9457 problem details, or under /v1 what OpenAI's clients read.

Problem                  what a client is told, in `application/problem+json`
├── BadRequest           400  what came is no HTTP request, or means two things
├── Unauthorized         401  the API key is missing or wrong
├── ModelNotFound        404  the model that is asked for is not the one that is served
├── RequestTimeout       408  the request took longer to come in than REVIEW_LM_READ_SECONDS
├── BodyTooLarge         413  the body is larger than REVIEW_LM_MAX_BODY_BYTES
├── InvalidRequest       422  a field is missing, unknown or out of range; lists the fields (400 under /v1)
├── Overloaded           429  too much work is waiting; says when to come again
├── HeadTooLarge         431  the request line and headers are larger than REVIEW_LM_MAX_HEAD_BYTES
├── InternalError        500  a fault of the service; the request id finds it in the server's output
├── NotReady             503  the model has not answered yet, or the service is stopping
├── Unlogged             503  the answer's row could not be committed (REVIEW_LM_LOG_DURABILITY=commit)
├── TooManyConnections   503  more connections are open than REVIEW_LM_MAX_CONNECTIONS
└── DeadlineExceeded     504  the answer was not ready within REVIEW_LM_DEADLINE_SECONDS
StartupError             what ends `python -m app` with one sentence
"""

from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app import openai_errors

MEDIA_TYPE = "application/problem+json"
MOST_PROBLEMS, MOST_OF_A_NAME = 20, 100
"""Fields that a 422 lists, and characters of the name of one: an answer must not grow with what is wrong."""


class StartupError(Exception):
    """The service cannot start; the message says in one sentence why and what to do."""


class FieldProblem(BaseModel):
    field: str = Field(description="where it is, as in `texts.0`", examples=["k"])
    problem: str = Field(description="what to change", examples=["Input should be less than or equal to 50"])
    code: str = Field("invalid_value", exclude=True, description="the kind of problem, which OpenAI's clients are told")


class ProblemDetails(BaseModel):
    """What every error looks like (RFC 9457)."""

    type: str = Field(description="stable name of the kind of error", examples=["/problems/invalid-request"])
    title: str = Field(description="the kind of error in words", examples=["The request is not valid"])
    status: int = Field(description="the HTTP status", examples=[422])
    detail: str = Field(description="what to change", examples=["k: Input should be less than or equal to 50"])
    errors: list[FieldProblem] | None = Field(None, description="the offending fields of a 422")


class Problem(Exception):
    """A failure that a client is told of; subclasses carry their status, type and title as class data."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "The service failed"
    description: ClassVar[str] = "A fault of the service."

    def __init__(
        self, detail: str, *, errors: list[FieldProblem] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail, self.errors, self.headers = detail, errors, headers or {}

    def details(self) -> ProblemDetails:
        return ProblemDetails(
            type=f"/problems/{self.type}", title=self.title, status=self.status, detail=self.detail, errors=self.errors
        )

    def response(self, path: str) -> Response:
        """The answer to a request of `path`."""
        return _response(path, self.details(), self.headers)

    def event(self, path: str) -> dict[str, Any]:
        """What tells of it in the answer to a request of `path` that has begun."""
        if openai_errors.is_for_openai(path):
            return openai_error(self.details()).model_dump()
        return {"error": self.details().model_dump(exclude_none=True)}


def openai_error(details: ProblemDetails) -> openai_errors.OpenAIError:
    """The same problem in the words of OpenAI's API."""
    first = details.errors[0] if details.errors else None
    kind = details.type.rpartition("/")[2]
    if not first:
        return openai_errors.error(details.status, kind, details.detail, None, None)
    return openai_errors.error(details.status, kind, details.detail, first.field, first.code)


def _response(path: str, details: ProblemDetails, headers: dict[str, str] | None) -> Response:
    if openai_errors.is_for_openai(path):
        status = openai_errors.status(details.status)
        return JSONResponse(openai_error(details).model_dump(), status, headers)
    return JSONResponse(details.model_dump(exclude_none=True), details.status, headers, media_type=MEDIA_TYPE)


class BadRequest(Problem):
    status, type, title = 400, "bad-request", "This is no proper HTTP request"
    description = "What came is no HTTP request, or has a header twice that may be there once."


class Unauthorized(Problem):
    status, type, title = 401, "unauthorized", "An API key is needed"
    description = "The API key is missing or wrong."


class ModelNotFound(Problem):
    status, type, title = 404, "model-not-found", "There is no such model"
    description = "`model` is not the one that is served; `GET /v1/models` names it."


class RequestTimeout(Problem):
    status, type, title = 408, "request-timeout", "The request came too slowly"
    description = "The request took longer to come in than the limit that `GET /model` shows."


class BodyTooLarge(Problem):
    status, type, title = 413, "body-too-large", "The request body is too large"
    description = "The request body is larger than the limit that `GET /model` shows."


class InvalidRequest(Problem):
    status, type, title = 422, "invalid-request", "The request is not valid"
    description = "A field is missing, unknown or out of range."


class Overloaded(Problem):
    status, type, title = 429, "overloaded", "Too much work is waiting"
    description = "Too much work is waiting; `Retry-After` says in how many seconds to come again."


class HeadTooLarge(Problem):
    status, type, title = 431, "head-too-large", "The request's headers are too large"
    description = "The request line and headers are larger than the limit that `GET /model` shows."


class InternalError(Problem):
    description = "A fault of the service; the server's output tells more under the same request id."


class NotReady(Problem):
    status, type, title = 503, "not-ready", "The service is not ready"
    description = "The model has not answered yet, or the service is stopping."


class Unlogged(Problem):
    status, type, title = 503, "unlogged", "The request cannot be logged"
    description = "The request log, without which this service may not answer, cannot be written."


class TooManyConnections(Problem):
    status, type, title = 503, "too-many-connections", "Too many connections are open"
    description = "More connections are open than the limit that `GET /model` shows."

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Connection": "close", "Retry-After": "1"})


class DeadlineExceeded(Problem):
    status, type, title = 504, "deadline-exceeded", "The answer took too long"
    description = "The answer was not ready within the time that `GET /model` shows."


EARLY_PROBLEMS = (BadRequest, Unauthorized, RequestTimeout, BodyTooLarge, HeadTooLarge)
"""What any route but the open ones can answer with, before it is asked."""
MODEL_PROBLEMS = (*EARLY_PROBLEMS, InvalidRequest, Overloaded, InternalError, NotReady, DeadlineExceeded)
"""What a route that asks the model can answer with."""


def documented(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The entries of the OpenAPI page for the problems a route can answer with."""
    return {problem.status: {"description": problem.description, "content": _content(problem)} for problem in problems}


def _content(problem: type[Problem]) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    example = problem(problem.description).details().model_dump(exclude_none=True)
    return {MEDIA_TYPE: {"schema": schema, "example": example}}


def documented_for_openai(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The same for a route under /v1."""
    entries: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        status = openai_errors.status(problem.status)
        before = f"{entries[status]['description']} " if status in entries else ""  # two of ours may be one of theirs
        entries[status] = {
            "model": openai_errors.OpenAIError,
            "description": before + problem.description,
            "content": {"application/json": {"example": _openai_example(problem)}},
        }
    return {**entries, "default": {"model": openai_errors.OpenAIError, "description": "Any other error."}}


def _openai_example(problem: type[Problem]) -> dict[str, Any]:
    wrong = [FieldProblem(field="n", problem="Input should be greater than or equal to 1")]
    errors = wrong if problem is InvalidRequest else None
    return openai_error(problem(problem.description, errors=errors).details()).model_dump()


def install_error_handlers(app: FastAPI) -> None:
    """Makes every failure of `app` answer with problem details."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    _describe_problems(app)


def _describe_problems(app: FastAPI) -> None:
    """Adds the schemas that `documented` refers to, as FastAPI knows only those of its own media type."""
    generated = app.openapi
    _, problems = models_json_schema([(ProblemDetails, "serialization")], ref_template="#/components/schemas/{model}")

    def openapi() -> dict[str, Any]:
        page = generated()
        page["components"]["schemas"] |= problems["$defs"]
        return page

    app.openapi = openapi  # type: ignore[method-assign]


def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response(request.url.path)


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    errors = [FieldProblem(field=_field(e), problem=_advice(e), code=_code(e)) for e in found[:MOST_PROBLEMS]]
    detail = "; ".join(f"{e.field}: {e.problem}" for e in errors)
    if len(found) > MOST_PROBLEMS:
        detail += f"; and {len(found) - MOST_PROBLEMS} more"
    return InvalidRequest(detail, errors=errors).response(request.url.path)


def _field(error: Any) -> str:
    inside_body = [] if error["type"] == "json_invalid" else error["loc"][1:]
    return ".".join(str(part)[:MOST_OF_A_NAME] for part in inside_body) or "body"


def _advice(error: Any) -> str:
    if error["type"] == "json_invalid":
        return f"The body is not valid JSON ({error['ctx']['error']})"
    if error["type"] == "extra_forbidden":
        return "There is no such field; remove it"
    message: str = error["msg"]
    return message


def _code(error: Any) -> str:
    kinds = {
        "missing": "missing_required_parameter",
        "extra_forbidden": "unknown_parameter",
        openai_errors.UNSUPPORTED: openai_errors.UNSUPPORTED,
    }
    return kinds.get(error["type"], "invalid_value")


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI's word for a body that the JSON parser gave up on
        problem = "The body is not JSON in UTF-8, or is nested too deeply, or holds too long a number"
        invalid = InvalidRequest(f"body: {problem}", errors=[FieldProblem(field="body", problem=problem)])
        return invalid.response(request.url.path)
    titles = {404: "not-found", 405: "method-not-allowed"}
    details = ProblemDetails(
        type=f"/problems/{titles.get(error.status_code, 'http-error')}",
        title=str(error.detail),
        status=error.status_code,
        detail=_http_advice(request, error),
        errors=None,
    )
    return _response(request.url.path, details, dict(error.headers) if error.headers else None)


def _http_advice(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"There is nothing at {request.url.path}; GET /docs lists what there is."
    if error.status_code == 405:
        return f"{request.url.path} does not answer {request.method}; GET /docs lists what it answers."
    return str(error.detail)
