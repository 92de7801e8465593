import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.reviews import made_up_reviews
from training.vocabulary import (
    END,
    MINIMUM_SIZE,
    OPENINGS,
    SPECIAL_TOKENS,
    UNKNOWN_RATING,
    WORD_END,
    count_words,
    learn_vocabulary,
    save_vocabulary,
)

VOCABULARY = learn_vocabulary((record["text"] for record in made_up_reviews(200, seed=4)), 700)


def pre_tokens(text: str) -> list[str]:
    return [text[start:end] for _, (start, end) in VOCABULARY.pre_tokenizer.pre_tokenize_str(text)]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_unchanged(text: str) -> None:
    ids = VOCABULARY.encode(text).ids
    assert VOCABULARY.decode(ids) == text
    assert all(token > END for token in ids)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_pre_tokens_cover_the_text(text: str) -> None:
    assert "".join(pre_tokens(text)) == text


@given(st.lists(st.sampled_from([*SPECIAL_TOKENS, "<", "end", ">", " ", "good"])).map("".join))
def test_a_review_that_spells_a_special_token_does_not_get_it(text: str) -> None:
    ids = VOCABULARY.encode(text).ids
    assert not {*OPENINGS, END} & set(ids)
    assert VOCABULARY.decode(ids) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't know", ["I", " don't", " know"]),
        ("y'all’d’ve said", ["y'all’d’ve", " said"]),
        ("the dogs' bowl 'quoted'", ["the", " dogs", "'", " bowl", " '", "quoted", "'"]),
        ("crème brûlée, naïve", ["crème", " brûlée", ",", " naïve"]),
        ("at 12:30", ["at", " 1", "2", ":", "3", "0"]),
        ("wow!!! :)", ["wow", "!!!", " :)"]),
        ("one\ntwo\n\nthree", ["one", "\n", "two", "\n", "\n", "three"]),
        ("two  spaces", ["two", " ", " spaces"]),
        ("4th", ["4", "th"]),
    ],
)
def test_pre_tokens(text: str, expected: list[str]) -> None:
    assert pre_tokens(text) == expected


def test_words_and_punctuation_marks_are_counted_and_white_space_is_not() -> None:
    assert count_words(VOCABULARY, "Don't go,\n\nit's  10 $!") == len(["Don't", "go", ",", "it's", "1", "0", "$!"])
    assert count_words(VOCABULARY, " \n ") == 0


def test_special_tokens_come_first() -> None:
    ids = VOCABULARY.get_vocab()
    assert [ids[token] for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4, 5, 6]
    assert ids["<stars:unknown>"] == UNKNOWN_RATING == 0
    assert ids["<stars:5>"] == 5
    assert ids["<end>"] == END == 6
    assert list(OPENINGS) == [0, 1, 2, 3, 4, 5]


def test_the_size_is_kept_and_frequent_words_are_one_token() -> None:
    assert VOCABULARY.get_vocab_size() == 700
    assert len(VOCABULARY.encode(" was").ids) == 1
    assert len(VOCABULARY.encode(" the").ids) == 1


def test_a_word_and_the_beginning_of_one_are_different_tokens() -> None:
    whole, longer = VOCABULARY.encode(" was").tokens, VOCABULARY.encode(" washing").tokens
    assert whole == ["Ġwas</w>"]
    assert not any(token.endswith(WORD_END) for token in longer[:-1])
    assert longer[-1].endswith(WORD_END)


def test_each_part_of_a_text_ends_where_its_last_token_does() -> None:
    text = "The crème brûlée, it's naïve!! 10 $\n\n</w> ☕"
    encoding = VOCABULARY.encode(text)
    ends = [end for (_, end), token in zip(encoding.offsets, encoding.tokens, strict=True) if token.endswith(WORD_END)]
    assert ends == list(itertools.accumulate(map(len, pre_tokens(text))))


def test_a_vocabulary_has_every_byte_even_where_there_is_room_for_nothing_else() -> None:
    smallest = learn_vocabulary(["good food"], MINIMUM_SIZE)
    assert smallest.get_vocab_size() == MINIMUM_SIZE
    text = "Ünïcödé ☕ 食べ物\t\x00"
    assert len(smallest.encode(text).ids) == len(text.encode())
    assert smallest.decode(smallest.encode(text).ids) == text


def test_merges_lead_to_tokens_that_are_there() -> None:
    model = json.loads(VOCABULARY.to_str())["model"]
    assert sorted(model["vocab"].values()) == list(range(700))
    assert all({*pair, "".join(pair)} <= model["vocab"].keys() for pair in model["merges"])
    assert len(model["merges"]) >= 700 - MINIMUM_SIZE


def test_case_is_kept() -> None:
    assert VOCABULARY.encode("The").ids != VOCABULARY.encode("the").ids


def test_a_saved_vocabulary_is_the_same_when_loaded(tmp_path: Path) -> None:
    save_vocabulary(VOCABULARY, tmp_path / "vocab.json")
    loaded = Tokenizer.from_file(str(tmp_path / "vocab.json"))
    assert loaded.to_str() == VOCABULARY.to_str()
    text = "I don't\n<end> ☕ know"
    assert loaded.encode(text).ids == VOCABULARY.encode(text).ids
    assert json.loads((tmp_path / "vocab.json").read_text())["model"]["type"] == "BPE"


def test_a_vocabulary_of_the_same_texts_is_the_same() -> None:
    again = learn_vocabulary((record["text"] for record in made_up_reviews(200, seed=4)), 700)
    assert again.to_str() == VOCABULARY.to_str()
