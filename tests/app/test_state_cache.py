"""app/state_cache.py"""

import torch
from hypothesis import given
from hypothesis import strategies as st

from app.state_cache import NEAREST, STRIDE, StateCache

ROOM = 1 << 20


def _state(number: float) -> torch.Tensor:
    return torch.full((8,), float(number))


def test_finds_the_longest_prefix_that_was_kept() -> None:
    cache = StateCache(ROOM)
    cache.keep([0, 7], _state(1))
    cache.keep([0, 7, 8, 9], _state(2))
    count, state = cache.longest([0, 7, 8, 9, 10])
    assert (count, state is not None and state[0]) == (4, 2)
    count, state = cache.longest([0, 7, 8, 10])
    assert (count, state is not None and state[0]) == (2, 1)


def test_a_prefix_must_agree_in_every_token_and_the_rating_is_one() -> None:
    cache = StateCache(ROOM)
    cache.keep([5, 7, 8], _state(1))
    assert cache.longest([4, 7, 8]) == (0, None)
    assert cache.longest([5, 8, 7]) == (0, None)
    assert cache.longest([]) == (0, None)


def test_going_far_back_finds_a_state_on_the_stride() -> None:
    cache = StateCache(ROOM)
    text = list(range(10 * STRIDE))
    cache.keep(text[: 2 * STRIDE], _state(1))
    assert cache.longest(text)[0] == 2 * STRIDE
    cache.keep(text[: 2 * STRIDE + 1], _state(2))  # off the stride and far from the end: found from nearby only
    assert cache.longest(text)[0] == 2 * STRIDE
    assert cache.longest(text[: 2 * STRIDE + NEAREST])[0] == 2 * STRIDE + 1


def test_the_least_recently_used_is_forgotten_first() -> None:
    one = 8 * 2 + 8 * 4
    cache = StateCache(3 * one)
    for first in (1, 2, 3):
        cache.keep([first, 0], _state(first))
    cache.longest([1, 0])
    cache.keep([4, 0], _state(4))
    assert [cache.longest([first, 0])[0] for first in (1, 2, 3, 4)] == [2, 0, 2, 2]


def test_a_row_is_copied_out_of_its_batch() -> None:
    cache = StateCache(ROOM)
    batch = torch.zeros(4, 8)
    cache.keep([1], batch[2])
    batch[2] = 9
    _, state = cache.longest([1])
    assert state is not None
    assert torch.equal(state, torch.zeros(8))
    assert state.untyped_storage().nbytes() == 8 * 4


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=40), st.integers(0, 300))
def test_never_holds_more_than_its_bound_and_never_lies(texts: list[list[int]], bound: int) -> None:
    cache = StateCache(bound)
    for text in texts:
        cache.keep(text, _state(hash(tuple(text)) % 1000))
        assert cache.bytes <= bound
    for text in texts:
        count, state = cache.longest(text)
        if state is not None:
            assert torch.equal(state, _state(hash(tuple(text[:count])) % 1000))
