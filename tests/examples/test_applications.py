"""docs/applications.md shows what the examples print, with the shipped model behind the real service.

REWRITE_EXAMPLES=1 writes their output into the page anew, after a new artifact or a changed example.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from service import Service, parser
from two_keys import Copyist, Option, write

from tests.app.support import API_KEY, ROOT, Server, running_server

PAGE = ROOT / "docs" / "applications.md"
EXAMPLE = re.compile(r"^\$ python (examples/\w+\.py.*)\n((?:.*\n)*?)(?=```)", re.MULTILINE)
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
REWRITE = bool(os.environ.get("REWRITE_EXAMPLES"))
IN_PROCESS = ("examples/compress.py", "examples/compression_table.py")


def _examples() -> list[tuple[str, str]]:
    return EXAMPLE.findall(PAGE.read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    patient = {"REVIEW_LM_DEADLINE_SECONDS": "250", "REVIEW_LM_API_KEYS": API_KEY}
    with running_server(tmp_path_factory.mktemp("server"), **patient) as running:
        yield running


def _at(server: Server) -> list[str]:
    return [f"--url=http://127.0.0.1:{server.port}", f"--key={API_KEY}"]


def _run(*command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, input=given, capture_output=True, text=True, check=False
    )


def _same(shown: str, printed: str) -> bool:
    """Equal but for a hundredth of each figure, or one in its last place: the processor may round in another way."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    for one, other in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        last_place = 10.0 ** -len(one.partition(".")[2])
        a, b = float(one.replace(",", "")), float(other.replace(",", ""))
        if "." not in one and a < 50 and a != b:
            return False
        if abs(a - b) > max(0.01 * a, 1.01 * last_place):
            return False
    return True


def test_figures_are_compared_as_figures() -> None:
    assert _same("6 of 7, 1.30 bits, 1,000", "6 of 7, 1.31 bits, 1,009")
    assert not _same("6 of 7, 1.30 bits", "5 of 7, 1.30 bits")
    assert not _same("6 of 7, 1.30 bits", "6 of 7, 1.40 bits")


def test_every_example_is_on_the_page() -> None:
    shown = {command.split()[0] for command, _ in _examples()}
    helpers = {"examples/service.py", "examples/arithmetic_coding.py", "examples/compress.py"}
    assert shown | helpers == {path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.parametrize(("command", "shown"), _examples(), ids=[command.split()[0] for command, _ in _examples()])
def test_an_example_prints_what_the_page_shows(command: str, shown: str, server: Server) -> None:
    where = [] if command.startswith(IN_PROCESS) else _at(server)
    run = _run(*shlex.split(command), *where)
    assert run.returncode == 0, run.stderr
    if REWRITE:
        PAGE.write_text(PAGE.read_text().replace(f"{command}\n{shown}", f"{command}\n{run.stdout}"))
    else:
        assert _same(shown, run.stdout), run.stdout


def test_two_keys_are_enough_to_write(server: Server) -> None:
    """The presses of the made-up user, given by hand, write the same text."""
    text = "Zygmunt's gnocchi, too."
    told = _run("examples/two_keys.py", *_at(server), "--write", text)
    assert told.returncode == 0, told.stderr
    presses = "".join(re.findall(r"^ *([12]+)  ", told.stdout, re.MULTILINE))
    by_hand = _run("examples/two_keys.py", *_at(server), given="\n".join(["what?", *presses]))
    assert by_hand.returncode == 0, by_hand.stderr
    assert "Press 1 or 2" in by_hand.stdout
    assert told.stdout.splitlines()[-2:] == by_hand.stdout.splitlines()[-2:]
    assert told.stdout.splitlines()[-2] == text


def test_keys_that_end_before_the_text_does_end_it_in_a_sentence(server: Server) -> None:
    run = _run("examples/two_keys.py", *_at(server), given="1\n")
    assert (run.returncode, run.stderr) == (1, "\nEnded before (finish) was chosen.\n")


def test_what_was_chosen_can_be_taken_back(server: Server) -> None:
    service = Service(parser("").parse_args(_at(server)))
    wanted, slips = Copyist("Zebras."), ["q…", "(take back)", "Z…", "Zz…", "(take back)"]

    def in_first(first: list[Option], second: list[Option]) -> bool:
        if not slips:
            return wanted(first, second)
        chosen = first if any(option.label == slips[0] for option in first) else second
        if [option.label for option in chosen] == slips[:1]:
            slips.pop(0)
        return chosen is first

    with closing(service.client):
        text, presses = write(service, in_first)
    assert (text, slips) == ("Zebras.", [])
    assert presses > 20


def test_text_that_two_keys_cannot_write_is_refused(server: Server) -> None:
    run = _run("examples/two_keys.py", *_at(server), "--write", "Room 7 was fine.")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("--write: ")


def test_words_of_ones_own_are_put_into_order(server: Server) -> None:
    run = _run("examples/word_order.py", *_at(server), "great", "The", "was", "food")
    assert run.stdout.splitlines()[0] == "The food was great."


def test_what_the_service_refuses_is_told_in_a_sentence(server: Server) -> None:
    refused = _run("examples/rerank.py", *_at(server)[:1])
    assert refused.returncode == 1
    assert re.match(r"/model answers 401: .+\n$", refused.stderr)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere", "http://"])
def test_where_no_service_is_a_sentence_says_so(url: str) -> None:
    gone = _run("examples/rerank.py", f"--url={url}")
    assert gone.returncode == 1
    assert re.search(r"is no such service \(.+\); start it by `make serve`\.\n$", gone.stderr)
    assert "Traceback" not in gone.stderr
