"""app/admission.py"""

import math

import pytest

from app.admission import CALM_SECONDS, MEMORY_SECONDS, Admission, Work
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
    return Admission(Work(rows=10, tokens=1000, reviews=4), longest_seconds=30, clock=clock)


def refusal(admission: Admission, work: Work, full: str) -> int:
    """What `Retry-After` says."""
    before = admission.admitted
    with pytest.raises(Overloaded) as refused:
        admission.enter(work)
    assert admission.admitted == before
    seconds = refused.value.headers["Retry-After"]
    assert refused.value.detail == f"{full} of work are waiting; come again in {seconds} seconds."
    return int(seconds)


def test_work_is_admitted_up_to_the_limits(admission: Admission) -> None:
    admission.enter(Work(9, 900))
    admission.enter(Work(1, 50))
    assert admission.admitted == (10, 950, 0)
    refusal(admission, Work(1, 0), "10 rows")
    admission.leave(Work(1, 50))
    admission.enter(Work(0, 100))
    refusal(admission, Work(1, 1), "1000 tokens")
    admission.leave(Work(9, 900))
    admission.enter(Work(9, 900))


def test_work_of_any_size_is_admitted_where_there_is_room(admission: Admission) -> None:
    admission.enter(Work(9, 999, 3))
    admission.enter(Work(100, 10_000, 100))
    refusal(admission, Work(1, 1, 1), "109 rows and 10999 tokens and 103 reviews")
    admission.leave(Work(100, 10_000, 100))
    admission.enter(Work(1, 1))


def test_reviews_keep_out_nothing_but_reviews(admission: Admission) -> None:
    admission.enter(Work(4, 100, 4))
    refusal(admission, Work(1, 10, 1), "4 reviews")
    admission.enter(Work(1, 10))


def test_once_a_review_was_refused_fewer_are_let_in_until_none_is_for_a_while(
    admission: Admission, clock: Clock
) -> None:
    admission.enter(Work(3, 30, 3))
    admission.enter(Work(1, 10, 1))  # a burst has room
    refusal(admission, Work(1, 10, 1), "4 reviews")
    admission.leave(Work(1, 10, 1))
    refusal(admission, Work(1, 10, 1), "3 reviews")
    clock.now += CALM_SECONDS
    admission.leave(Work(1, 10, 1))
    refusal(admission, Work(1, 10, 1), "2 reviews")  # somebody came all the time
    admission.leave(Work(1, 10, 1))
    admission.enter(Work(1, 10, 1))
    clock.now += CALM_SECONDS + 0.1
    for _ in range(2):
        admission.enter(Work(1, 10, 1))
    refusal(admission, Work(1, 10, 1), "4 reviews")


def test_one_review_is_let_in_whatever_was_refused(clock: Clock) -> None:
    admission = Admission(Work(rows=10, tokens=1000, reviews=1), longest_seconds=30, clock=clock)
    admission.enter(Work(1, 10, 1))
    refusal(admission, Work(1, 10, 1), "1 reviews")
    admission.leave(Work(1, 10, 1))
    admission.enter(Work(1, 10, 1))


def test_refused_rows_leave_the_limit_of_reviews_as_it_is(admission: Admission) -> None:
    admission.enter(Work(10, 10))
    refusal(admission, Work(1, 10, 1), "10 rows")
    admission.leave(Work(10, 10))
    admission.enter(Work(3, 30, 3))
    admission.enter(Work(1, 10, 1))


def test_nobody_is_sent_away_for_longer_than_anything_takes(admission: Admission) -> None:
    admission.enter(Work(10, 10))
    assert refusal(admission, Work(5, 1), "10 rows") == 30  # nothing was finished yet, so nothing is known


def test_the_wait_follows_from_the_rate_of_work(admission: Admission, clock: Clock) -> None:
    rate = 2  # rows a second, for long enough to be known
    for _ in range(100):
        admission.enter(Work(rate, 10))
        clock.now += 1
        admission.leave(Work(rate, 10))
    # Σ over the seconds past of rate · e^(-t / MEMORY), t = 0, 1, 2 …, which is `rate · MEMORY` and a half second more
    known = rate / (1 - math.exp(-1 / MEMORY_SECONDS)) / MEMORY_SECONDS
    admission.enter(Work(17, 10))
    assert refusal(admission, Work(1, 10), "17 rows") == math.ceil(8 / known) == 4  # until one of the ten is free
    admission.leave(Work(7, 5))
    assert refusal(admission, Work(1, 10), "10 rows") == 1


def test_the_wait_follows_from_tokens_where_these_are_short(admission: Admission, clock: Clock) -> None:
    for _ in range(100):
        admission.enter(Work(1, 100))
        clock.now += 1
        admission.leave(Work(1, 100))
    admission.enter(Work(1, 1500))
    assert refusal(admission, Work(1, 500), "1500 tokens") == 5
