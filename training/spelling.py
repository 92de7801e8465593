"""How words are spelled in tokens, as the service sees it when it suggests words.

A word is a pre-token that begins with a letter, with the space before it if it has one, spelled as the vocabulary
spells it; its last token is marked as such. Tokens are judged by their bytes; `app` judges them by the same rules,
which a test holds together.
"""

import itertools
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.errors import TrainingError
from training.vocabulary import END, WORD_END

APOSTROPHES = "'’"
LEAD_BYTES_OF_MARKS = (0xC2, 0xE2, 0xF0)


class Spelling:
    """Which tokens can begin a word, which can go on with one, and which word some tokens spell."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.token_bytes, self._ends = token_bytes(tokenizer), ends_part(tokenizer)
        if not any(self._ends):
            raise TrainingError("The vocabulary does not mark where words end; `prepare` the reviews and train again.")
        self._begins = frozenset(token for token, text in enumerate(self.token_bytes) if begins_word(text))
        self._continues = frozenset(token for token, text in enumerate(self.token_bytes) if continues_word(text))
        self.continuing = _tensor(self._continues)
        self._by_bytes = sorted((text, token) for token, text in enumerate(self.token_bytes) if text)
        self._tokens_of: dict[bytes, list[int]] = {}
        for text, token in self._by_bytes:
            self._tokens_of.setdefault(text, []).append(token)
        self.beginnings = cache(self._beginnings)
        self.extensions = cache(self._extensions)
        self.word = cache(self._word)

    def _beginnings(self, typed: bytes, spaced: bool | None, last: bool) -> Tensor:
        """Tokens `[N]` that begin a word which begins with `typed`: with a space, without, or (None) either.

        They are those that are all of the word if `last`, else those that others follow.
        """
        tokens = self._agreeing(typed, self._begins, last)
        return _tensor(t for t in tokens if spaced is None or spaced == self.token_bytes[t].startswith(b" "))

    def _extensions(self, typed: bytes, last: bool) -> Tensor:
        """Tokens `[N]` that go on with a word, agreeing with the letters `typed` that it does not cover yet."""
        return _tensor(self._agreeing(typed, self._continues, last))

    def _agreeing(self, typed: bytes, allowed: frozenset[int], last: bool) -> set[int]:
        agreeing = self._covering(typed, allowed) if typed else set(allowed)
        if typed and not last:
            agreeing |= {token for length in range(1, len(typed)) for token in self._tokens_of.get(typed[:length], [])}
        return {token for token in agreeing if self._ends[token] == last}

    def _covering(self, typed: bytes, allowed: frozenset[int]) -> set[int]:
        start = bisect_left(self._by_bytes, (typed,))
        inside = itertools.takewhile(lambda entry: entry[0].startswith(typed), self._by_bytes[start:])
        # What was typed is one word whatever its tokens are: only what goes beyond it must be allowed.
        return {token for text, token in inside if token in allowed or text == typed}

    def _word(self, tokens: tuple[int, ...]) -> bytes | None:
        """The word, with the space before it, that is spelled so; None if these tokens spell no whole word."""
        text = b"".join(self.token_bytes[token] for token in tokens)
        try:
            decoded = text.decode()
        except UnicodeDecodeError:  # ends inside a character
            return None
        pre_tokens = self._tokenizer.pre_tokenizer.pre_tokenize_str(decoded)
        whole = is_word(decoded) and len(pre_tokens) == 1 and self._tokenizer.encode(decoded).ids == list(tokens)
        return text if whole else None

    def hidden_until(self, tokens: Sequence[int]) -> int:
        """How many bytes of a word must be typed before it can be found.

        Some words are spelled with a token that, before it is typed, counts as a mark which ends the word: an
        apostrophe on its own, as in "D'Angelo".
        """
        ends = itertools.accumulate(len(self.token_bytes[token]) for token in tokens)
        allowed = itertools.chain([self._begins], itertools.repeat(self._continues))
        return max((end for end, token, own in zip(ends, tokens, allowed, strict=False) if token not in own), default=0)


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each token of a byte-level vocabulary stands for; none for the special ones."""
    # Byte-level BPE writes each byte as a printable character (Radford et al. 2019); most stand for themselves.
    themselves = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in themselves]
    alphabet = {chr(byte): byte for byte in themselves} | {chr(256 + n): byte for n, byte in enumerate(others)}
    return [
        b"" if token <= END else bytes(alphabet[character] for character in name.removesuffix(WORD_END))
        for token, name in enumerate(_names(tokenizer))
    ]


def ends_part(tokenizer: Tokenizer) -> list[bool]:
    """Whether each token is the last of its pre-token."""
    return [token > END and name.endswith(WORD_END) for token, name in enumerate(_names(tokenizer))]


def _names(tokenizer: Tokenizer) -> list[str]:
    return sorted(ids := tokenizer.get_vocab(), key=ids.__getitem__)


def is_word(pre_token: str) -> bool:
    """Whether a pre-token, with or without the space before it, is a word: not a mark, a digit or white space."""
    return is_letter(pre_token.removeprefix(" ")[:1])


def is_letter(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "LM"


def begins_word(token: bytes) -> bool:
    """Whether a token can be the first of a word; the space alone can."""
    return token == b" " or _begins_with_letter(token.removeprefix(b" "))


def continues_word(token: bytes) -> bool:
    """Whether a token can go on with a word: by letters, by an apostrophe before letters, or inside a character."""
    if token and 0x80 <= token[0] < 0xC0:
        return True
    text = token.decode("utf-8", "ignore")
    return _begins_with_letter(token) or (text[:1] in tuple(APOSTROPHES) and is_letter(text[1:2]))


def _begins_with_letter(token: bytes) -> bool:
    if not token or 0x80 <= token[0] < 0xC0:
        return False
    text = token.decode("utf-8", "ignore")
    # The first byte of a character alone is that of a letter, but for those of punctuation, symbols and emoji.
    return is_letter(text[0]) if text else token[0] not in LEAD_BYTES_OF_MARKS


def _tensor(tokens: Iterable[int]) -> Tensor:
    return torch.tensor(sorted(tokens), dtype=torch.int64)
