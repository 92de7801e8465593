"""`python -m app.bulk`: killed and begun again, asked for what cannot be, and as docs/scale.md shows it."""

import fcntl
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow
import pyarrow.parquet
import pytest

from app.bulk.__main__ import _parser, main
from tests.app.random_artifact import SENTENCES
from tests.app.support import ROOT, eventually

PARTS, PART_ROWS = 60, 8


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.parquet"
    texts = [f"{SENTENCES[place % 5]} {place}" for place in range(PARTS * PART_ROWS)]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path)
    return path


def begun(texts: Path, artifact: Path, output: Path) -> "subprocess.Popen[str]":
    files: list[str | Path] = ["score", texts, "--output", output, "--model", artifact]
    arguments = [*files, "--part-rows", str(PART_ROWS), "--workers=1"]
    return subprocess.Popen([sys.executable, "-m", "app.bulk", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def parts_in(output: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in output.glob("part-*.parquet")}


def test_a_killed_run_goes_on_with_the_parts_that_lack(texts: Path, tmp_path: Path, random_artifact: Path) -> None:
    output = tmp_path / "scores"
    first = begun(texts, random_artifact, output)
    eventually(lambda: first.poll() is not None or len(parts_in(output)) > 2)
    workers = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    _, said = first.communicate(timeout=60)
    assert "Traceback" not in said
    assert workers
    assert not psutil.wait_procs(workers, timeout=60)[1], "a process outlived the one that leads it"
    before = parts_in(output)
    assert 0 < len(before) < PARTS
    (output / ".part-000059.parquet.of-the-killed").write_bytes(b"half")

    second = begun(texts, random_artifact, output)
    _, said = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert f"going on: {len(before) * PART_ROWS:,} of 480 rows are there" in said
    assert "480 rows in 60 files" in said
    after = parts_in(output)
    assert len(after) == PARTS
    assert {name: after[name] for name in before} == before
    table = pyarrow.parquet.read_table(output)  # readers pass over what is no part
    assert table["row"].to_pylist() == [*range(PARTS * PART_ROWS)]
    assert table["error"].null_count == table.num_rows
    assert {path.name for path in output.iterdir()} == {*after, "_run.json"}

    assert _refusal(["score", texts, "--output", output, "--model", random_artifact, "--part-rows", "9"]).endswith(
        f"holds a run with other part_rows (see {output}/_run.json); "
        "give what it was begun with, or name another folder.\n"
    )


@pytest.mark.parametrize(
    ("victim", "signal_number", "advice"),
    [
        ("worker", signal.SIGKILL, "the same command goes on, and takes less memory with fewer --workers"),
        ("leader", signal.SIGINT, "stopped; the same command goes on"),
    ],
)
def test_a_run_that_ends_early_says_that_it_goes_on(
    texts: Path, tmp_path: Path, random_artifact: Path, victim: str, signal_number: signal.Signals, advice: str
) -> None:
    output = tmp_path / "scores"
    run = begun(texts, random_artifact, output)
    eventually(lambda: run.poll() is not None or parts_in(output))
    leader = psutil.Process(run.pid)
    workers = [each for each in leader.children() if "spawn_main" in " ".join(each.cmdline())]
    for process in workers if victim == "worker" else [leader]:
        process.send_signal(signal_number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert advice in said
    assert "Traceback" not in said
    assert not psutil.wait_procs(workers, timeout=60)[1]


def _refusal(arguments: list[object]) -> str:
    """What a run says that must not begin, in a process of its own as it would lock its folder in this one."""
    finished = subprocess.run(
        [sys.executable, "-m", "app.bulk", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 1, finished.stderr
    return finished.stderr


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--text-column", "review"], "has no column review, only text"),
        (["--model", "nowhere"], "There is no .*language_model.pt; name the artifact's folder with --model"),
        (["--keep", "perplexity"], "--keep perplexity: the results have a column of that name"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    arguments: list[str], advice: str, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(texts), "--output", str(tmp_path / "out"), *arguments]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(f"error: .*{advice}.*\n", said), said
    assert not (tmp_path / "out").exists()


def test_settings_of_generation_are_checked_before_anything_runs(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate = ["generate", str(texts), "--text-column", "text", "--output", str(tmp_path / "out")]
    assert main([*generate, "--top-p", "2"]) == 1
    assert capsys.readouterr().err == "error: --top-p: Input should be less than or equal to 1.\n"


def test_a_folder_is_written_by_one_run_at_a_time(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert main(["score", str(texts), "--output", str(tmp_path)]) == 1
    finally:
        os.close(handle)
    assert "Another run is writing" in capsys.readouterr().err


def test_parts_of_something_else_are_left_alone(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "part-000000.parquet").write_bytes(b"another's")
    assert main(["score", str(texts), "--output", str(tmp_path)]) == 1
    assert "holds part files, but no _run.json" in capsys.readouterr().err
    assert (tmp_path / "part-000000.parquet").read_bytes() == b"another's"


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_installed_the_option_says_what_to_install(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(texts), "--output", str(tmp_path / "out"), "--ray"]) == 1
    assert "pip install 'review-lm[ray]'" in capsys.readouterr().err


def test_the_commands_of_the_documentation_can_be_given() -> None:
    commands = re.findall(
        r"^python -m app\.bulk (.*(?:\\\n.*)*)$", (ROOT / "docs" / "scale.md").read_text(), re.MULTILINE
    )
    assert len(commands) >= 4
    for command in commands:
        _parser().parse_args(shlex.split(command.replace("\\\n", " "), comments=True))
