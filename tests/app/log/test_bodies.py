"""What REVIEW_LM_LOG_BODIES keeps of a body."""

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.log.bodies import keeper
from app.settings import Settings

BODY = "Très bon ☕, 5 étoiles".encode()


def kept(body: bytes, **settings: Any) -> str | None:
    return keeper(Settings(**{f"log_{name}": value for name, value in settings.items()}))(body)


def test_each_way_to_keep_a_body() -> None:
    assert kept(BODY, bodies="full") == "Très bon ☕, 5 étoiles"
    assert kept(BODY, bodies="none") is None
    assert kept(BODY, bodies="truncated", body_characters=10) == "Très bon ☕"
    assert kept(BODY, bodies="hashed") == f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    keyed = hmac.new(b"a key", BODY, "sha256").hexdigest()
    assert kept(BODY, bodies="hashed", hash_key="a key") == f"hmac-sha256:{keyed}"


@pytest.mark.parametrize("bodies", ["full", "truncated"])
def test_what_no_database_takes_is_replaced(bodies: str) -> None:
    assert kept(b"a\x00b\xff", bodies=bodies) == "a\ufffdb\ufffd"


@given(st.text(), st.integers(1, 20))
def test_a_truncated_text_is_its_beginning(text: str, characters: int) -> None:
    whole = text.replace("\x00", "\ufffd")
    assert kept(text.encode(), bodies="truncated", body_characters=characters) == whole[:characters]
