from collections.abc import Iterable

import pytest
from tokenizers import Tokenizer, models
from torch import Tensor

from app import spelling as served
from app.language_model import Vocabulary
from app.ranking import TokenSet
from training.errors import TrainingError
from training.spelling import Spelling, ends_part, is_word, token_bytes
from training.vocabulary import END, learn_vocabulary

TOKENS = {"opening_unrated": 0, "opening_by_stars": [1, 2, 3, 4, 5], "end": END}
ALPHABETS = ["naïve façade “quoted” l’été", "Привет, мир", "¿qué? 北京 😀", "it's 5 o'clock"] * 3


@pytest.fixture(params=["reviews", "alphabets"])
def vocabulary(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> Tokenizer:
    return tokenizer if request.param == "reviews" else learn_vocabulary(ALPHABETS, 700)


def both(tokens: Iterable[Tensor]) -> set[int]:
    """Tokens that are the last of a word and tokens that others follow."""
    last, others = (set(each.tolist()) for each in tokens)
    assert not last & others
    return last | others


def members(tokens: TokenSet) -> set[int]:
    return set((tokens.tensor if tokens.small else (tokens.tensor == 0).nonzero()[:, 0]).tolist())


@pytest.mark.parametrize("typed", [b"", b"s", b"it", b"it'", b"caf", "é".encode(), "’".encode()[:1], b"qx"])
def test_tokens_are_judged_as_the_service_judges_them(vocabulary: Tokenizer, typed: bytes) -> None:
    theirs, ours = served.Spelling(Vocabulary(vocabulary, TOKENS)), Spelling(vocabulary)
    for spaced, spaces, text in ((None, (" ", ""), typed), (True, (" ",), b" " * bool(typed) + typed)):
        first = both(ours.beginnings(text, spaced, last) for last in (True, False))
        assert first - set(theirs.within(text)) == members(theirs.beginnings(spaces, False, text))
        assert set(theirs.within(text)) <= first
    if not typed:
        first = both(ours.beginnings(b"", False, last) for last in (True, False))
        assert first == members(theirs.beginnings(("",), False, b""))
    going_on = both(ours.extensions(typed, last) for last in (True, False))
    assert going_on == members(theirs.extensions(b"x", False, b"x" + typed)) | set(theirs.within(typed))


def test_tokens_are_the_bytes_and_marks_that_the_service_reads(vocabulary: Tokenizer) -> None:
    theirs = Vocabulary(vocabulary, TOKENS)
    assert token_bytes(vocabulary) == theirs.token_bytes
    assert ends_part(vocabulary) == theirs.ends_part


def test_tokens_must_agree_with_what_was_typed(tokenizer: Tokenizer) -> None:
    spelling, texts, ends = Spelling(tokenizer), token_bytes(tokenizer), ends_part(tokenizer)

    def texts_of(tokens: Tensor, last: bool) -> set[bytes]:
        assert {ends[token] for token in tokens.tolist()} == {last}
        return {texts[token] for token in tokens.tolist()}

    assert b" was" in texts_of(spelling.beginnings(b" wa", True, True), True)
    shorter = texts_of(spelling.beginnings(b" was", True, False), False)
    assert {b" ", b" w"} <= shorter
    assert all(b" was".startswith(text) or text.startswith(b" was") for text in shorter)
    assert b"'" in texts_of(spelling.extensions(b"'t", False), False)  # as it is typed, it is part of the word
    assert b"'" not in texts_of(spelling.extensions(b"", False), False)


@pytest.mark.parametrize(("text", "whole"), [(" was", True), ("was", True), (" ", False), (".", False), (" 5", False)])
def test_a_word_is_what_the_vocabulary_spells_so(tokenizer: Tokenizer, text: str, whole: bool) -> None:
    spelling = Spelling(tokenizer)
    tokens = tuple(tokenizer.encode(text).ids)
    assert is_word(text) == whole
    assert spelling.word(tokens) == (text.encode() if whole else None)


def test_another_spelling_of_a_word_is_none(tokenizer: Tokenizer) -> None:
    spelling = Spelling(tokenizer)
    texts = [(text, last) for text, last in zip(spelling.token_bytes, ends_part(tokenizer), strict=True)]
    letters = tuple(texts.index(piece) for piece in ((b" ", False), (b"w", False), (b"a", False), (b"s", True)))
    assert spelling.word(tuple(tokenizer.encode(" was").ids)) == b" was"
    assert spelling.word(letters) is None
    two_words = tuple(tokenizer.encode("it was").ids)
    assert spelling.word(two_words) is None


def test_a_word_with_an_apostrophe_of_its_own_is_hidden_until_that_is_typed(tokenizer: Tokenizer) -> None:
    spelling = Spelling(tokenizer)
    tokens = tokenizer.encode(" Q'Zap").ids
    assert b"'" in {spelling.token_bytes[token] for token in tokens}
    assert spelling.hidden_until(tokens) == len(" Q'")
    assert spelling.hidden_until(tokenizer.encode(" was").ids) == 0


def test_a_vocabulary_that_does_not_mark_where_words_end_is_refused() -> None:
    unmarked = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate("abcdefghij")}, merges=[]))
    with pytest.raises(TrainingError, match="does not mark where words end"):
        Spelling(unmarked)
