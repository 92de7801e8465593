"""How words are spelled in tokens: which begin a word or mark, which go on with one, which agree with typed letters."""

import itertools
import unicodedata
from bisect import bisect_left
from collections import OrderedDict
from functools import lru_cache, partial

import torch

from app.language_model import Vocabulary
from app.ranking import TokenSet

APOSTROPHES = "'’"
LEAD_BYTES_OF_MARKS = (0xC2, 0xE2, 0xF0)
WORD_GOES_ON = frozenset({"word", "'word", "byte"})
MARK_GOES_ON = frozenset({"mark", "byte"})
WORDS = 65_536
"""Spellings of words that are kept."""
COVERING_SETS = 4096
"""Sets of tokens that cover typed letters which are kept, the last ones used."""


class Spelling:
    """Which tokens can begin a pre-token and which can go on with one, read off the vocabulary once.

    `word` is the word or mark that tokens spell and what `kind_of` says of it; None if they spell none, or if the
    vocabulary spells it in another way. The last ones asked for are kept, as a few words make up most texts; `words`
    has those that are a token each.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        # Of a function: a method would have this object hold itself, and stay when its model goes.
        self.word = lru_cache(WORDS)(partial(_word, vocabulary))
        self.ends = vocabulary.ends_part
        self._kinds = [kind_of(token) for token in vocabulary.token_bytes]
        self._by_bytes = sorted((text, token) for token, text in enumerate(vocabulary.token_bytes) if text)
        self._tokens_of: dict[bytes, list[int]] = {}
        for text, token in self._by_bytes:
            self._tokens_of.setdefault(text, []).append(token)
        self._sets: dict[frozenset[str], TokenSet] = {}
        self._covering: OrderedDict[tuple[frozenset[str], bytes], TokenSet] = OrderedDict()
        self.words = self._words()

    def _words(self) -> list[tuple[str, str] | None]:
        """The word of each token that is one: most of those that people type.

        It takes a tenth of a second now; beside a busy engine each would wait for the interpreter's lock, which the
        tokenizer gives away. The most frequent, which the vocabulary has first, are the last to be forgotten by that.
        """
        tokens = reversed(range(len(self.ends)))
        return [_word(self._vocabulary, (token,)) if self.ends[token] else None for token in tokens][::-1]

    def beginnings(self, spaced: tuple[str, ...], punctuation: bool, typed: bytes) -> TokenSet:
        """The tokens that a word may begin with, or if `punctuation` a mark.

        `spaced` tells what stands before it: a space, nothing, or either. With `typed`, only those that cover it all.
        """
        return self._set(_beginning(spaced, punctuation), typed)

    def extensions(self, text: bytes, punctuation: bool, typed: bytes) -> TokenSet:
        """The tokens that may go on with the spelling `text`, and cover what is left of `typed`, if anything is."""
        if text == b" ":
            kinds = WORD_GOES_ON | MARK_GOES_ON if punctuation else WORD_GOES_ON
        else:
            first = text.decode("utf-8", "replace").lstrip(" ")[:1]
            mark = first not in {"", "\ufffd"} and not is_letter(first)
            kinds = MARK_GOES_ON if mark else WORD_GOES_ON
        return self._set(kinds, typed[len(text) :])

    def _set(self, kinds: frozenset[str], typed: bytes) -> TokenSet:
        if not typed:
            if kinds not in self._sets:
                members = torch.tensor([kind in kinds for kind in self._kinds], dtype=torch.float32)
                self._sets[kinds] = TokenSet(members)
            return self._sets[kinds]
        key = (kinds, typed)
        if (found := self._covering.pop(key, None)) is None:
            # What was typed is one word or mark whatever its tokens are: only what goes beyond it is of these kinds.
            going_beyond = [token for token in self.starting_with(typed) if self._kinds[token] in kinds]
            tokens = sorted({*going_beyond, *self._tokens_of.get(typed, [])})
            found = TokenSet(torch.tensor(tokens, dtype=torch.int64), small=True)
        self._covering[key] = found
        if len(self._covering) > COVERING_SETS:
            self._covering.popitem(last=False)
        return found

    def starting_with(self, typed: bytes) -> list[int]:
        """Tokens whose bytes begin with all of `typed`."""
        start = bisect_left(self._by_bytes, (typed,))
        inside = itertools.takewhile(lambda entry: entry[0].startswith(typed), self._by_bytes[start:])
        return [token for _, token in inside]

    def within(self, typed: bytes) -> list[int]:
        """Tokens whose bytes are a beginning of `typed` and shorter than it, and which others follow."""
        parts = (self._tokens_of.get(typed[:length], []) for length in range(1, len(typed)))
        return [token for part in parts for token in part if not self.ends[token]]


@lru_cache
def _beginning(spaced: tuple[str, ...], punctuation: bool) -> frozenset[str]:
    """The kinds of tokens that `Spelling.beginnings` names."""
    kinds = {space + "word" for space in spaced} | {" " for space in spaced if space}
    # A mark may follow a word with a space or without.
    return frozenset(kinds | {"mark", " mark", " "} if punctuation else kinds)


def _word(vocabulary: Vocabulary, tokens: tuple[int, ...]) -> tuple[str, str] | None:
    try:
        text = b"".join(vocabulary.token_bytes[token] for token in tokens).decode()
    except UnicodeDecodeError:  # ends inside a character
        return None
    # No token goes on beyond a pre-token, so a single one is no more than that.
    if vocabulary.encode(text) != tokens or (len(tokens) > 1 and len(vocabulary.pre_tokens(text)) > 1):
        return None
    word = text.removeprefix(" ")
    return word, kind_of(word.encode())


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
