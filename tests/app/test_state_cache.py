"""app/state_cache.py"""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from app.known import Known
from app.state_cache import NEAREST, STRIDE, StateCache, seams
from tests.app.support import ARTIFACT

ROOM = 1 << 20
TOKENIZER = Tokenizer.from_file(str(ARTIFACT / "vocab.json"))


def _state(number: float) -> torch.Tensor:
    return torch.full((8,), float(number))


def _keep(cache: StateCache, text: str, number: float = 0, opening: int = 0) -> None:
    cache.keep(opening, text, len(list(seams(text))), 1 + len(text.split()), _state(number))


def _found(cache: StateCache, text: str, opening: int = 0) -> str | None:
    kept = cache.longest(opening, text)
    return text[: kept.characters] if kept else None


def test_finds_the_longest_beginning_that_was_kept() -> None:
    cache = StateCache(ROOM)
    _keep(cache, "The soup", 1)
    _keep(cache, "The soup was very", 2)
    kept = cache.longest(0, "The soup was very good")
    assert kept is not None
    assert (kept.characters, kept.seams, kept.tokens, float(kept.state[0])) == (17, 3, 5, 2)
    assert _found(cache, "The soup was cold") == "The soup"
    assert _found(cache, "The soup") == "The soup"


def test_a_text_must_agree_in_every_character_and_in_its_opening() -> None:
    cache = StateCache(ROOM)
    _keep(cache, "The soup", opening=5)
    assert _found(cache, "The soup was", opening=5) == "The soup"
    for text, opening in (("The soup was", 4), ("the soup was", 5), ("The soups", 5), ("The", 5), ("", 5)):
        assert _found(cache, text, opening) is None


def test_a_beginning_that_may_have_other_tokens_is_not_used() -> None:
    cache = StateCache(ROOM)
    for text in ("great", "great,", "wait  ", "don'"):
        _keep(cache, text)
    for text in ("greatly", "great  food", "great\nfood", "wait   here", "don't", "great,, food"):
        assert _found(cache, text) is None
    assert _found(cache, "great food") == "great"
    assert _found(cache, "great, food") == "great,"


@given(st.text(st.sampled_from("ab'’.,! \n\t1é☕\u00a0\x1c\u200b"), max_size=30))
def test_a_text_has_the_same_tokens_when_it_is_cut_at_its_seams(text: str) -> None:
    cuts = [0, *seams(text), len(text)]
    parts = [TOKENIZER.encode(text[start:end]).ids for start, end in itertools.pairwise(cuts)]
    assert list(itertools.chain(*parts)) == TOKENIZER.encode(text).ids


def test_going_far_back_finds_a_state_on_the_stride() -> None:
    cache = StateCache(ROOM)
    words = ["word"] * (10 * STRIDE)
    text, on_stride = " ".join(words), " ".join(words[: 2 * STRIDE])
    _keep(cache, on_stride)
    assert _found(cache, text) == on_stride
    off_stride = f"{on_stride} word"  # far from the end it is found from nearby only
    _keep(cache, off_stride)
    assert _found(cache, text) == on_stride
    assert _found(cache, " ".join(words[: 2 * STRIDE + 1 + NEAREST])) == off_stride


def test_the_least_recently_used_is_forgotten_first() -> None:
    one = 4 * 1 + 8 * 4
    cache = StateCache(3 * one)
    for text in "abc":
        _keep(cache, text)
    cache.longest(0, "a")
    _keep(cache, "d")
    assert [_found(cache, text) for text in "abcd"] == ["a", None, "c", "d"]


def test_probabilities_count_as_states_do() -> None:
    cache = StateCache(100)
    cache.keep(0, "", 0, 1, _state(1), Known(torch.zeros(16)))
    assert cache.bytes == 4 * (8 + 16)
    cache.keep(0, "", 0, 1, _state(1), Known(torch.zeros(18)))  # is there already
    cache.keep(1, "", 0, 1, _state(1), Known(torch.zeros(18)))  # has no room
    assert (cache.bytes, _found(cache, "", 1)) == (96, None)


@given(st.lists(st.text("ab ", max_size=6), max_size=40), st.integers(0, 300))
def test_never_holds_more_than_its_bound_and_never_lies(texts: list[str], bound: int) -> None:
    cache = StateCache(bound)
    numbers = {text: number for number, text in enumerate(texts)}
    for text in texts:
        _keep(cache, text, numbers[text])
        assert cache.bytes <= bound
    for text in texts:
        if (kept := cache.longest(0, text)) is not None:
            assert torch.equal(kept.state, _state(numbers[text[: kept.characters]]))


@pytest.mark.parametrize(
    ("text", "places"),
    [("one two", [3]), ("one, two (three)", [4, 8]), ("one  two", []), (" one", []), ("one ", []), ("a\n b", [])],
)
def test_seams_are_single_spaces_between_words_and_marks(text: str, places: list[int]) -> None:
    assert list(seams(text)) == places
