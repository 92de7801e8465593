"""What the log keeps of a body: all, the beginning, a hash, or nothing."""

import hashlib
import hmac
from collections.abc import Callable

from app.settings import Settings

Keep = Callable[[bytes | bytearray], str | None]
LONGEST_CHARACTER = 4
"""Bytes of UTF-8."""


def keeper(settings: Settings) -> Keep:
    """What turns a body into what is written of it, as REVIEW_LM_LOG_BODIES has it."""
    key = settings.log_hash_key.get_secret_value().encode() if settings.log_hash_key else None
    keepers: dict[str, Keep] = {
        "full": as_text,
        "truncated": lambda body: _beginning(body, settings.log_body_characters),
        "hashed": lambda body: _hash(body, key),
        "none": lambda _: None,
    }
    return keepers[settings.log_bodies]


def as_text(body: bytes | bytearray) -> str:
    return without_nul(body.decode("utf-8", "replace"))


def without_nul(text: str) -> str:
    # PostgreSQL takes no NUL in a text, and a database that refuses a row would hold up all that follow.
    return text.replace("\x00", "\ufffd")


def _beginning(body: bytes | bytearray, characters: int) -> str:
    return as_text(body[: LONGEST_CHARACTER * characters])[:characters]


def _hash(body: bytes | bytearray, key: bytes | None) -> str:
    """With a key nobody without it can find a text again by hashing what it might have been (RFC 2104)."""
    if key:
        return "hmac-sha256:" + hmac.new(key, body, "sha256").hexdigest()
    return "sha256:" + hashlib.sha256(body).hexdigest()
