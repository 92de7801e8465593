"""What FastAPI and its parts fail with, told as the problems of `app/errors.py` are."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.errors import FieldProblem, InternalError, InvalidRequest, Problem, ProblemDetails, response_of
from app.openai_errors import UNSUPPORTED

MOST_PROBLEMS, MOST_OF_A_NAME = 20, 100
"""Fields that a 422 lists, and characters of the name of one: an answer must not grow with what is wrong."""


def install_error_handlers(app: FastAPI) -> None:
    """Makes every failure of `app` answer with problem details.

    The handlers are `async` because Starlette runs others in a thread of its pool, which under overload is most of what
    a refusal costs.
    """
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)


async def _on_fault(request: Request, error: Exception) -> Response:
    # Starlette raises the error once more behind this answer, for `ExchangeMiddleware` to print.
    return InternalError.of(request.scope["state"]["exchange"].request_id).response(request.url.path)


async def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response(request.url.path)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid_request(error).response(request.url.path)


def invalid_request(error: RequestValidationError) -> InvalidRequest:
    """What a body is refused with in which pydantic found these errors."""
    found = error.errors()
    errors = [FieldProblem(field=_field(e), problem=_advice(e), code=_code(e)) for e in found[:MOST_PROBLEMS]]
    detail = "; ".join(f"{e.field}: {e.problem}" for e in errors)
    if len(found) > MOST_PROBLEMS:
        detail += f"; and {len(found) - MOST_PROBLEMS} more"
    return InvalidRequest(detail, errors=errors)


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
        UNSUPPORTED: UNSUPPORTED,
    }
    return kinds.get(error["type"], "invalid_value")


async def _on_http(request: Request, error: Exception) -> Response:
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
    return response_of(details, request.url.path, dict(error.headers) if error.headers else None)


def _http_advice(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"There is nothing at {request.url.path}; GET /docs lists what there is."
    if error.status_code == 405:
        return f"{request.url.path} does not answer {request.method}; GET /docs lists what it answers."
    return str(error.detail)
