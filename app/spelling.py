"""How words are spelled in tokens: which begin a word or mark, which go on with one, which agree with typed letters."""

import itertools
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator

import torch
from torch import Tensor

from app.language_model import Vocabulary

APOSTROPHES = "'’"
LEAD_BYTES_OF_MARKS = (0xC2, 0xE2, 0xF0)


class Spelling:
    """Which tokens can begin a pre-token and which can go on with one, read off the vocabulary once.

    A set of tokens is a row `[V]` of ones and zeros in float32: arithmetic is ten times as fast as booleans here.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        kinds = [kind_of(token) for token in vocabulary.token_bytes]
        self.begins_word = _mask(kind in ("word", " word", " ") for kind in kinds)
        self.begins_mark = _mask(kind in ("mark", " mark", " ") for kind in kinds)
        self.continues_word = _mask(kind in ("word", "'word", "byte") for kind in kinds)
        self.continues_mark = _mask(kind in ("mark", "byte") for kind in kinds)
        self.begins_with_space = _mask(kind.startswith(" ") for kind in kinds)
        self._by_bytes = sorted((text, token) for token, text in enumerate(vocabulary.token_bytes) if text)
        self._token_of = dict(self._by_bytes)

    def token_of(self, text: bytes) -> int | None:
        """The token that stands for exactly these bytes."""
        return self._token_of.get(text)

    def starting_with(self, typed: bytes) -> list[int]:
        """Tokens whose bytes begin with all of `typed`."""
        start = bisect_left(self._by_bytes, (typed,))
        inside = itertools.takewhile(lambda entry: entry[0].startswith(typed), self._by_bytes[start:])
        return [token for _, token in inside]

    def within(self, typed: bytes) -> list[int]:
        """Tokens whose bytes are a beginning of `typed` and shorter than it."""
        parts = (typed[:length] for length in range(1, len(typed)))
        return [self._token_of[part] for part in parts if part in self._token_of]


def _mask(values: Iterator[bool]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32)


def kind_of(token: bytes) -> str:
    """What a token is part of.

    `word`, ` word` (with its leading space), `'word`, `mark`, ` mark`, ` ` (the space alone), `byte` (the inside of a
    character), or nothing of these (digits, white space and special tokens).
    """
    space, rest = (" ", token[1:]) if token.startswith(b" ") else ("", token)
    if not rest:
        return space
    if 0x80 <= rest[0] < 0xC0:
        return "byte"
    whole = rest.decode("utf-8", "ignore")
    if not whole:  # the beginning of a character: of a letter, but for the lead bytes of punctuation, symbols and emoji
        return space + ("mark" if rest[0] in LEAD_BYTES_OF_MARKS else "word")
    if is_letter(whole[0]):
        return space + "word"
    if not space and whole[0] in APOSTROPHES and is_letter(whole[1:2]):
        return "'word"
    return "" if whole[0].isspace() or unicodedata.category(whole[0])[0] == "N" else space + "mark"


def is_letter(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LM"
