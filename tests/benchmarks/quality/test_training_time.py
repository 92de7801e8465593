import pytest

from benchmarks.quality.training_time import TrainingTime


def test_the_share_is_of_the_minutes() -> None:
    time = TrainingTime(minutes=2)
    assert time.share == 0
    time.seconds = 30
    assert time.share == pytest.approx(0.25)
    time.seconds = 500
    assert time.share == 1


def test_what_runs_counts_and_nothing_else() -> None:
    time = TrainingTime(minutes=1)
    with time.running():
        sum(range(100_000))
    first = time.seconds
    assert first > 0
    sum(range(100_000))
    assert time.seconds == first
    with time.running():
        pass
    assert time.seconds > first
