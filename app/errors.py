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
├── TooManyBodies        503  all bodies together are larger than REVIEW_LM_MAX_HELD_BODY_BYTES
└── DeadlineExceeded     504  the answer was not ready within REVIEW_LM_DEADLINE_SECONDS
StartupError             what ends `python -m app` with one sentence
"""

from typing import Any, ClassVar

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from app import openai_errors

MEDIA_TYPE = "application/problem+json"


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
        return response_of(self.details(), path, self.headers)

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


def response_of(details: ProblemDetails, path: str, headers: dict[str, str] | None) -> Response:
    """The answer to a request of `path` that a problem is told by."""
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

    @classmethod
    def of(cls, request_id: str) -> "InternalError":
        """What a request fails with of which nothing better is known."""
        return cls(f"Something failed; look for {request_id} in the server's output.")


class NotReady(Problem):
    status, type, title = 503, "not-ready", "The service is not ready"
    description = "The model has not answered yet, or the service is stopping."


class Unlogged(Problem):
    status, type, title = 503, "unlogged", "The request cannot be logged"
    description = "The request log, without which this service may not answer, cannot be written."


class TooManyConnections(Problem):
    status, type, title = 503, "too-many-connections", "Too many connections are open"
    description = "More connections are open than the limit that `GET /model` shows."


class TooManyBodies(Problem):
    status, type, title = 503, "too-many-bodies", "Too many request bodies are held"
    description = "All request bodies together are larger than the limit that `GET /model` shows."


class DeadlineExceeded(Problem):
    status, type, title = 504, "deadline-exceeded", "The answer took too long"
    description = "The answer was not ready within the time that `GET /model` shows."


EARLY_PROBLEMS = (
    BadRequest,
    Unauthorized,
    RequestTimeout,
    BodyTooLarge,
    HeadTooLarge,
    TooManyConnections,
    TooManyBodies,
)
"""What any route but the open ones can answer with, before it is asked."""
MODEL_PROBLEMS = (*EARLY_PROBLEMS, InvalidRequest, Overloaded, InternalError, NotReady, DeadlineExceeded)
"""What a route that asks the model can answer with."""
