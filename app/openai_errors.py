"""Errors as OpenAI's clients read them: what routes under /v1 answer in place of problem details."""

from pydantic import BaseModel, Field

UNSUPPORTED = "unsupported_parameter"
"""What a parameter is refused with that OpenAI's API has and this service has not."""
STATUSES = {422: 400}
"""Where OpenAI's API has another status than ours, by which its clients choose the exception they raise."""
TYPES = {429: "rate_limit_error", 500: "server_error", 503: "server_error", 504: "server_error"}
CODES = {
    "unauthorized": "invalid_api_key",
    "not-found": "unknown_url",
    "method-not-allowed": "method_not_supported",
    "overloaded": "rate_limit_exceeded",
}
"""OpenAI's names of problems; the others are called as here."""


class OpenAIErrorDetails(BaseModel):
    message: str = Field(description="what to change")
    type: str = Field(description="`invalid_request_error`, `rate_limit_error` or `server_error`")
    param: str | None = Field(description="the parameter at fault, if it is one")
    code: str = Field(description="stable name of the kind of error")


class OpenAIError(BaseModel):
    """What every error under /v1 looks like."""

    error: OpenAIErrorDetails


def is_for_openai(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def status(ours: int) -> int:
    return STATUSES.get(ours, ours)


def error(status: int, kind: str, message: str, param: str | None, code: str | None) -> OpenAIError:
    """`kind` is the last part of a problem's type; `param` and `code` are of the first field at fault."""
    return OpenAIError(
        error=OpenAIErrorDetails(
            message=message,
            type=TYPES.get(status, "invalid_request_error"),
            param=param,
            code=code or CODES.get(kind, kind.replace("-", "_")),
        )
    )
