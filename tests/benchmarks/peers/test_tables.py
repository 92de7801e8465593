"""That the page says what was measured, of results written by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.__main__ import main
from benchmarks.peers.installed import installed_bytes, lines
from benchmarks.peers.measure import CLIENTS
from benchmarks.peers.peers import OUR_WORKERS, OURS, PEERS
from benchmarks.peers.rounds import Turn, turns
from benchmarks.peers.tables import TABLES, number, overload_table, spread, table, wins

TYPING = next(iter(TABLES.values()))


def measured(rate: float, p99: float = 5.0) -> dict[str, Any]:
    """What a round has of a server."""
    typed = {"requests_per_second": rate, "p50": 2.0, "p99": p99, "failed": 0, "cpu": 0.25}
    written = {"tokens_per_second": 10 * rate, "requests_per_second": rate, "failed": 0, "cpu": 1.0, "p50": 1, "p99": 2}
    return {
        "measured": "2026-01-02T03:04+00:00",
        "machine": "a machine",
        "python": "3.11",
        "version": "1.2",
        "scale": 1.0,
        "cold start, s": 3.0,
        "memory, MB": 400.0,
        "same text as the service": {"compared": 6, "equal": 6},
        "seeds": {"compared": 9, "equal": 8},
        "typing": typed,
        "unrelated": typed,
        "score": typed,
        "mixed": typed,
        **{f"generate-{clients}": written for clients in CLIENTS},
        **{f"stream-{clients}": written | {"first_p50": 7.0, "first_p99": 8.0} for clients in CLIENTS},
        "overload": {"rate": 20.0, "shares": {"200": 0.5, "429": 0.5}, "p99": 900.0},
    }


def test_figures_are_medians_with_the_smallest_and_the_largest() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00–3.00)"
    assert spread([]) == "–"
    assert [number(value) for value in (0.0, 0.5, 12.34, 1234.5)] == ["0", "0.50", "12.3", "1,234"]


def test_a_table_has_a_row_for_each_server_that_was_measured() -> None:
    writes_only = {name: value for name, value in measured(1).items() if name != "typing"}
    results = {
        OURS: [measured(900), measured(1000), measured(1300)],
        "mosec": [measured(80)],
        "transformer": [writes_only],
    }
    rows = table(TYPING, results).splitlines()
    assert rows[0] == "| | requests/s | p50, ms | p99, ms | CPU s per 1,000 | failed |"
    assert rows[2].startswith("| **review-lm** | 1,000 (900–1,300) | 2.00 (2.00–2.00) |")
    assert rows[3].startswith("| mosec | 80.0 (80.0–80.0) |")
    assert len(rows) == 4


def test_shares_of_an_overload_are_medians_of_their_rounds() -> None:
    other = measured(1) | {"overload": {"rate": 10.0, "shares": {"200": 0.7, "none in 5 s": 0.3}, "p99": 700.0}}
    row = overload_table({"mosec": [measured(1), other]}).splitlines()[2]
    assert row == "| mosec | 15.0 (10.0–20.0) | 200: 60%, 429: 25%, none in 5 s: 15% | 800 (700–900) |"


def test_it_tells_where_the_service_is_beaten() -> None:
    told = wins({OURS: [measured(100, p99=5)], "mosec": [measured(100, p99=4)], "litserve": [measured(90, p99=9)]})
    assert "- Keyboard sessions, p99, ms: mosec 4.00; **review-lm** 5.00" in told
    assert not [line for line in told if "requests/s" in line]
    assert wins({OURS: [measured(100)], "mosec": [measured(100)]}) == []


def test_more_workers_of_the_service_are_no_peer() -> None:
    told = wins({OURS: [measured(100)], OUR_WORKERS: [measured(190)], "mosec": [measured(150)]})
    ours = f"**review-lm** 100, {PEERS[OUR_WORKERS].label} 190"
    assert f"- Scoring, requests/s: mosec 150; {ours}" in told
    assert wins({OURS: [measured(100)], OUR_WORKERS: [measured(190)]}) == []


def test_every_server_has_a_turn_in_each_round_and_each_round_begins_with_another() -> None:
    assert turns(["a", "b", "c"], 2) == [
        *(Turn(1, "a"), Turn(1, "b"), Turn(1, "c")),
        *(Turn(2, "b"), Turn(2, "c"), Turn(2, "a")),
    ]


def test_the_page_is_written_from_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for turn in (Turn(1, OURS), Turn(2, OURS), Turn(1, "fastapi")):
        turn.path(tmp_path).write_text(json.dumps(measured(100 * turn.number)))
    assert main(["--report", "--results", str(tmp_path), "--docs", str(tmp_path / "docs")]) == 0
    page = (tmp_path / "docs" / "peers.md").read_text()
    assert page in capsys.readouterr().out
    assert "| **review-lm** | 150 (100–200) |" in page
    assert "| plain FastAPI | 100 (100–100) |" in page
    assert "16 of 18 | 12 of 12 |" in page
    assert "threadpool" in page or "thread pool" in page
    for picture in ("peers-typing.png", "peers-waiting.png", "peers-writing.png"):
        assert f"(figures/{picture})" in page
        assert (tmp_path / "docs" / "figures" / picture).read_bytes().startswith(b"\x89PNG")


def test_without_results_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report", "--results", str(tmp_path), "--docs", str(tmp_path / "docs")]) == 1
    assert "run `python -m benchmarks.peers` first" in capsys.readouterr().err
    assert not (tmp_path / "docs").exists()


def test_an_unknown_server_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "review-lm,nothing"])
    assert "nothing is none of review-lm,review-lm-workers,litserve" in capsys.readouterr().err


def test_sizes_are_of_all_that_is_required() -> None:
    alone, more = installed_bytes(("starlette",)), installed_bytes(("fastapi",))
    assert 0 < alone < more == installed_bytes(("fastapi", "starlette"))
    assert installed_bytes(("torch",)) == 0


def test_lines_leave_out_what_documents_them() -> None:
    assert lines(PEERS[OURS].module) == 0
    script = Path(__file__).parents[3] / "benchmarks" / "peers" / "with_fastapi.py"
    written = [line for line in script.read_text().split('"""')[2].splitlines() if line.strip()]
    assert lines(PEERS["fastapi"].module) == len(written)
