"""Old rows go, by age and by number, in pieces, and no others."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.log import database
from app.log.address import parsed
from app.log.database import Database
from app.log.request_log import RequestLog
from app.log.retention import Retention, SteadyClock
from tests.app.log.support import entry, log_of
from tests.app.support import eventually


def kept(url: str) -> list[str]:
    with create_engine(parsed(url), poolclass=NullPool).connect() as connection:
        return list(connection.execute(text("SELECT request_id FROM requests ORDER BY id")).scalars())


def fill(log: RequestLog, ages: list[float]) -> None:
    """Records rows that are so many days old, and writes them before anything is deleted."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for place, age in enumerate(ages):
        log.record(entry(str(place), time=now - timedelta(days=age)))
    log.start()


def test_by_default_everything_is_kept(url: str) -> None:
    log = log_of(url)
    fill(log, [10_000.0] * 30)
    log.close()
    assert len(kept(url)) == 30
    assert log.deleted == 0


def test_rows_beyond_the_age_go(url: str) -> None:
    log = log_of(url, max_days=1.5)
    fill(log, [9.0, 1.4, 2.0, 0.0, 1.6, -1.0])  # not in their order, as after a clock was set
    eventually(lambda: log.deleted == 3)
    log.close()
    assert kept(url) == ["1", "3", "5"]


@pytest.mark.parametrize("piece", [500, 7])
def test_the_oldest_rows_beyond_the_number_go(url: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PIECE_ROWS", piece)
    log = log_of(url, max_rows=20)
    fill(log, [0.0] * 100)
    eventually(lambda: log.deleted == 80)
    log.close()
    assert kept(url) == [str(place) for place in range(80, 100)]


def test_both_together(url: str) -> None:
    log = log_of(url, max_rows=3, max_days=1)
    fill(log, [0.0, 5.0, 0.0, 0.0, 5.0, 0.0])
    eventually(lambda: log.deleted == 3)
    log.close()
    assert kept(url) == ["2", "3", "5"]


def test_a_clock_that_is_set_forward_makes_no_row_older(url: str) -> None:
    """Rows are deleted by the time that went by, as far as the clock agrees."""
    log = log_of(url)
    started = datetime.now(UTC).replace(tzinfo=None)
    fill(log, [1.5, 0.9, 0.0])
    eventually(lambda: log.written == 3)
    log.close()
    wall, elapsed = [started], [500.0]
    clock = SteadyClock(lambda: wall[-1], lambda: elapsed[-1])
    opened = Database(url, durable=False)

    def left() -> list[str]:
        retention = Retention(opened, max_days=1, max_rows=0, clock=clock)
        retention.delete_a_piece()
        return kept(url)

    wall.append(started + timedelta(days=365))
    assert left() == ["1", "2"]
    elapsed.append(500.0 + 86_400 / 2)
    assert left() == ["2"]
    wall.append(started)  # set back, it is believed, too
    elapsed.append(500.0 + 2 * 86_400)
    assert left() == ["2"]
    wall.append(started + timedelta(days=2))
    assert left() == []
    opened.close()
