"""app/admission.py"""

import math

import pytest

from app.admission import MEMORY_SECONDS, Admission
from app.errors import Overloaded


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admission(clock: Clock) -> Admission:
    return Admission(max_rows=10, max_tokens=1000, longest_seconds=30, clock=clock)


def refusal(admission: Admission, rows: int, tokens: int) -> int:
    """What `Retry-After` says."""
    before = (admission.rows, admission.tokens)
    with pytest.raises(Overloaded) as refused:
        admission.enter(rows, tokens)
    assert (admission.rows, admission.tokens) == before
    seconds = refused.value.headers["Retry-After"]
    assert f"come again in {seconds} seconds" in refused.value.detail
    return int(seconds)


def test_work_is_admitted_up_to_the_limits(admission: Admission) -> None:
    admission.enter(9, 900)
    admission.enter(1, 100)
    assert (admission.rows, admission.tokens) == (10, 1000)
    refusal(admission, 1, 0)
    refusal(admission, 0, 1)
    admission.leave(9, 900)
    admission.enter(9, 900)


def test_work_of_any_size_is_admitted_alone(admission: Admission) -> None:
    admission.enter(100, 10_000)
    refusal(admission, 1, 1)
    admission.leave(100, 10_000)
    admission.enter(1, 1)


def test_nobody_is_sent_away_for_longer_than_anything_takes(admission: Admission) -> None:
    admission.enter(10, 10)
    assert refusal(admission, 5, 1) == 30  # nothing was finished yet, so nothing is known


def test_the_wait_follows_from_the_rate_of_work(admission: Admission, clock: Clock) -> None:
    rate = 2  # rows a second, for long enough to be known
    for _ in range(100):
        admission.enter(rate, 10)
        clock.now += 1
        admission.leave(rate, 10)
    # Σ over the seconds past of rate · e^(-t / MEMORY), t = 0, 1, 2 …, which is `rate · MEMORY` and a half second more
    known = rate / (1 - math.exp(-1 / MEMORY_SECONDS)) / MEMORY_SECONDS
    admission.enter(10, 10)
    assert refusal(admission, 8, 10) == math.ceil(8 / known) == 4
    assert refusal(admission, 1, 10) == 1


def test_the_wait_follows_from_tokens_where_these_are_short(admission: Admission, clock: Clock) -> None:
    for _ in range(100):
        admission.enter(1, 100)
        clock.now += 1
        admission.leave(1, 100)
    admission.enter(1, 1000)
    assert refusal(admission, 1, 500) == 5


def test_what_was_long_ago_no_longer_counts(admission: Admission, clock: Clock) -> None:
    admission.enter(10, 10)
    admission.leave(10, 10)
    admission.enter(10, 10)
    soon = refusal(admission, 10, 10)
    clock.now += 2 * MEMORY_SECONDS
    assert soon == 5
    assert refusal(admission, 10, 10) == 30
