"""API keys, known to the service by their SHA-256 sums alone: whoever reads its memory or its settings learns none."""

import hashlib
import hmac
import re
from collections.abc import Iterable
from pathlib import Path

from app.errors import StartupError

HASHED = "sha256:"
"""Stands before the sum of a key that the service is not to be told."""
COMMENT = re.compile(r"(^|\s)#.*")
SUM = re.compile("[0-9a-f]{64}")


class Keys:
    """The keys that open the service; without any, it is open to everybody."""

    def __init__(self, sums: Iterable[bytes] = ()) -> None:
        self._sums = tuple(sums)

    def __bool__(self) -> bool:
        return bool(self._sums)

    def open_to(self, authorization: bytes) -> bool:
        """Whether a header `Authorization` holds one of the keys.

        Every key is compared, and each in constant time, so that timing tells nothing about any.
        """
        scheme, _, given = authorization.partition(b" ")
        digest = hashlib.sha256(given.strip()).digest()
        known = [hmac.compare_digest(digest, each) for each in self._sums]
        return scheme.lower() == b"bearer" and any(known)


def sum_of(key: str) -> bytes:
    """The SHA-256 sum of a key, or the one that is written as `sha256:…`; raises ValueError for what is neither."""
    if not key or re.search(r"\s", key):
        raise ValueError("a key has one character or more, and no white space")
    if not key.startswith(HASHED):
        return hashlib.sha256(key.encode()).digest()
    if not SUM.fullmatch(digits := key.removeprefix(HASHED).lower()):
        raise ValueError("sha256: is followed by 64 hexadecimal digits, as `printf %s KEY | sha256sum` prints them")
    return bytes.fromhex(digits)


def read_keys(sums: Iterable[bytes], file: Path | None) -> Keys:
    """The keys of the variable and those of the file, one a line; raises StartupError where that has none."""
    return Keys([*sums, *(_of_file(file) if file else ())])


def _of_file(file: Path) -> list[bytes]:
    try:
        lines = [COMMENT.sub("", line).strip() for line in file.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise StartupError(f"REVIEW_LM_API_KEYS_FILE: {file} cannot be read ({reason}).") from None
    sums = []
    for number, line in enumerate(lines, 1):
        try:
            sums += [sum_of(line)] if line else []
        except ValueError as error:
            raise StartupError(f"REVIEW_LM_API_KEYS_FILE: line {number} of {file} is no key: {error}.") from None
    if not sums:
        raise StartupError(f"REVIEW_LM_API_KEYS_FILE: {file} holds no key, and the service would be open to all.")
    return sums
