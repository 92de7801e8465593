"""The settings: read once from REVIEW_LM_* variables, handed down from `create_app`."""

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import StartupError

PREFIX = "REVIEW_LM_"


class Settings(BaseSettings):
    """What an operator can choose; a variable's name is the field's in capitals behind REVIEW_LM_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    model_directory: Path = Field(Path("model"), description="folder of the artifact")
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
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="keys, separated by commas; with any, every route but the probes asks for one"
    )
    max_characters: int = Field(20_000, ge=1, description="characters of a text")
    max_texts: int = Field(
        64, ge=1, description="texts of a /score request, or of a /v1/completions request for all its prompts"
    )
    max_body_bytes: int = Field(8_388_608, ge=1, description="bytes of a request body")
    max_n: int = Field(16, ge=1, description="reviews that a /generate request or a prompt asks for")
    max_tokens: int = Field(1_000, ge=1, description="tokens of a generated review")
    cache_bytes: int = Field(67_108_864, ge=0, description="memory for states after texts seen before; 0 keeps none")
    max_waiting_rows: int = Field(512, ge=1, description="rows of work that may wait or run; more is answered with 429")
    max_waiting_tokens: int = Field(
        400_000, ge=1, description="tokens of work that may wait or run, as estimated; more is answered with 429"
    )
    deadline_seconds: float = Field(30.0, gt=0, description="seconds from a request's arrival to its answer")
    shutdown_seconds: int = Field(5, ge=0, description="seconds that requests under way may take after SIGTERM")

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value

    def limits(self) -> dict[str, float]:
        """The limits that a client can run into, as `GET /model` shows them."""
        names = [name for name in type(self).model_fields if name.startswith("max_")]
        return {name: getattr(self, name) for name in [*names, "deadline_seconds"]}


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return "DATABASE_URL" if field in {"database_url", "DATABASE_URL"} else PREFIX + field.upper()


def read_settings() -> Settings:
    """Reads the environment; raises StartupError for a REVIEW_LM_* variable that is no setting or has a wrong value."""
    known = [variable(field) for field in Settings.model_fields]
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            (meant,) = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise StartupError(f"{name} is not a setting; did you mean {meant}? The README lists them all.")
    try:
        return Settings()
    except ValidationError as error:
        problems = (f"{variable(str(e['loc'][0]))}: {e['msg']}" for e in error.errors())
        raise StartupError("; ".join(problems) + ".") from None
