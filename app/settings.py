"""The settings: read once from REVIEW_LM_* variables, handed down from `create_app`."""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import StartupError
from app.keys import sum_of

PREFIX = "REVIEW_LM_"
UNPREFIXED = {
    "database_url": "DATABASE_URL",
    "otel_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
}
"""Settings whose variables have the names that other programs give them."""
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9A-Fa-f:]+\](:\d{1,5})?")


class Settings(BaseSettings):
    """What an operator can choose; a variable's name is the field's in capitals behind REVIEW_LM_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(
        1, ge=1, le=256, description="processes that answer; limits, caches and queues are each one's own"
    )
    model_directory: Path = Field(Path("model"), description="folder of the artifact")
    model_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 sum that its language_model.pt must have, besides the one in its SHA256SUMS",
    )
    database_url: str = Field(
        "sqlite:///logs/requests.sqlite3",
        validation_alias=AliasChoices("DATABASE_URL", "database_url"),
        description="database of the request log, `sqlite:///…` or `postgresql://…` (the variable is DATABASE_URL)",
    )
    log_durability: Literal["background", "commit"] = Field(
        "background", description="`commit`: answer only after the log's row is in the database, or with 503"
    )
    log_bodies: Literal["full", "truncated", "hashed", "none"] = Field(
        "full", description="what the log keeps of request and response bodies: `full`, `truncated`, `hashed`, `none`"
    )
    log_body_characters: int = Field(1_000, ge=1, description="characters that `truncated` keeps of a body")
    log_hash_key: SecretStr | None = Field(
        None,
        description="key of `hashed` (HMAC-SHA-256); without one it is SHA-256, which tells texts that are guessed",
    )
    log_queue_rows: int = Field(10_000, ge=1, description="log rows that may wait for the database; more are dropped")
    log_queue_bytes: int = Field(
        67_108_864, ge=10_000, description="bytes of log rows that may wait for the database; more are dropped"
    )
    log_max_days: float = Field(0, ge=0, description="days after which a row of the log is deleted; 0 keeps all")
    log_max_rows: int = Field(0, ge=0, description="rows of the log, of which the oldest are deleted; 0 keeps all")
    api_keys: Annotated[tuple[bytes, ...], NoDecode] = Field(
        (),
        repr=False,
        description="keys, or sums as `sha256:…`, separated by commas; with any, every route but the open ones asks "
        "for one",
    )
    api_keys_file: Path | None = Field(
        None, description="file of more keys or sums, one a line; what follows a `#` is a comment"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins whose pages may call the service, separated by commas; `*` for all"
    )
    console_format: Literal["auto", "json", "text"] = Field(
        "auto", description="lines on stderr: json, text, or auto, which is text on a terminal"
    )
    console_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level of a line")
    console_requests: bool = Field(False, description="print a line for each request, too, as the log has a row")
    otel_endpoint: str | None = Field(
        None,
        validation_alias=AliasChoices(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "otel_endpoint"
        ),
        description="where a span of each request is sent by OTLP over HTTP; other OTEL_* variables count, too",
    )
    max_characters: int = Field(20_000, ge=1, description="characters of a text")
    max_texts: int = Field(
        64, ge=1, description="texts of a /score request, or of a /v1/completions request for all its prompts"
    )
    max_body_bytes: int = Field(8_388_608, ge=1, description="bytes of a request body")
    max_held_body_bytes: int = Field(
        67_108_864, ge=1, description="bytes of all request bodies that are held at once; more is answered with 503"
    )
    max_strings: int = Field(2_000, ge=100, description="strings of a request body, the names of fields counted")
    max_head_bytes: int = Field(32_768, ge=1024, description="bytes of a request line and its headers")
    max_connections: int = Field(
        1_000, ge=1, description="open connections; on more, all but the probes are answered with 503"
    )
    max_n: int = Field(16, ge=1, description="reviews that a /generate request or a prompt asks for")
    max_tokens: int = Field(1_000, ge=1, description="tokens of a generated review")
    cache_bytes: int = Field(
        67_108_864,
        ge=0,
        description="memory for what follows texts seen before, half of it for words being typed; 0 keeps none",
    )
    max_waiting_rows: int = Field(
        256, ge=1, description="rows of work that wait or run, from which on more is answered with 429"
    )
    max_waiting_tokens: int = Field(
        200_000,
        ge=1,
        description="tokens of work that wait or run, as estimated, from which on more is refused as well",
    )
    max_waiting_reviews: int = Field(
        64,
        ge=1,
        description="reviews that wait or are being written, from which on more are refused; "
        "then three eighths of that are let in, until none is refused for a second",
    )
    deadline_seconds: float = Field(30.0, gt=0, description="seconds from a request's arrival to its answer")
    read_seconds: float = Field(20.0, gt=0, description="seconds in which a request's head and body must have come")
    write_seconds: float = Field(60.0, gt=0, description="seconds for which a client may leave an answer unread")
    keep_alive_seconds: int = Field(
        75, ge=1, description="seconds that a connection may be idle between requests; more than a load balancer's"
    )
    drain_seconds: float = Field(
        0.0, ge=0, description="seconds after SIGTERM in which requests still come in; as long as a balancer looks away"
    )
    shutdown_seconds: float = Field(5.0, ge=0, description="seconds that requests under way may take after that")

    @field_validator("api_keys", mode="before")
    @classmethod
    def _keep_sums_alone(cls, value: object) -> object:
        return tuple(sum_of(key) for key in _parts(value)) if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _check_origins(cls, value: object) -> object:
        origins = _parts(value) if isinstance(value, str) else value
        for origin in origins if isinstance(origins, tuple) else ():
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError("an origin is as https://example.org:8443, without a path and without a / at its end")
        return origins

    def limits(self) -> dict[str, float]:
        """The limits that a client can run into, as `GET /model` shows them."""
        names = [name for name in type(self).model_fields if name.startswith("max_")]
        times = ["deadline_seconds", "read_seconds", "write_seconds", "keep_alive_seconds"]
        return {name: getattr(self, name) for name in [*names, *times]}


def _parts(value: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if not parts:  # a slip of the pen must not open what was to be closed
        raise ValueError("holds nothing but commas; leave the variable out, or name something")
    return parts


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return UNPREFIXED.get(field.lower(), PREFIX + field.upper())


def read_settings() -> Settings:
    """Reads the environment; raises StartupError for a REVIEW_LM_* variable that is no setting or has a wrong value."""
    known = [variable(field) for field in Settings.model_fields]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            (meant,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise StartupError(f"{name} is not a setting; did you mean {meant}? The README lists them all.")
    try:
        settings = Settings()
    except ValidationError as error:
        problems = (f"{variable(str(e['loc'][0]))}: {e['msg']}" for e in error.errors())
        raise StartupError("; ".join(problems) + ".") from None
    os.environ.pop(variable("api_keys"), None)  # kept as sums from here on
    return settings
