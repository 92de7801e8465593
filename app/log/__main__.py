"""The command line: `python -m app.log` shows the newest rows; `--help` lists the filters and formats."""

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from app.console import fail
from app.errors import StartupError
from app.log.formats import FORMATS
from app.log.reading import Filter, follow, newest, reading
from app.settings import read_settings

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    which = Filter(options.route, options.status, options.since, options.until, options.request_id, options.slower_than)
    try:
        url = options.database or read_settings().database_url
        with reading(url) as engine, _output(options.output) as output:
            if options.follow:
                with _interrupted() as interrupted:
                    FORMATS[options.format](follow(engine, which, interrupted), output)
            else:
                FORMATS[options.format](newest(engine, which, options.limit), output)
    except StartupError as error:
        return fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
    except OSError as error:
        return fail(
            f"{error.filename or 'the output'}: {error.strerror}; check the path, its permissions and the disk."
        )
    except KeyboardInterrupt:
        return fail("stopped.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.log", description="Shows the request log, the newest rows first. Times are UTC."
    )
    add = parser.add_argument
    add("--database", metavar="URL", help="sqlite:///… or postgresql://…; else what DATABASE_URL says")
    add("--route", metavar="PATH", help="as /next-word")
    add("--status", type=int, help="as 200")
    add(
        "--since", type=_time, metavar="TIME", help="as 2026-01-31, 2026-01-31T12:00, or how long ago: 90s, 15m, 2h, 7d"
    )
    add("--until", type=_time, metavar="TIME", help="the same")
    add("--request-id", metavar="ID", help="the answer's X-Request-ID")
    add("--slower-than", type=float, metavar="MS", help="latency in milliseconds")
    add("--limit", type=_count, default=20, metavar="ROWS", help="how many at most (default 20); 0 shows all")
    add("--follow", action="store_true", help="show rows as they are written, until Ctrl-C")
    add("--format", choices=FORMATS, default="text", help="text (default), jsonl or csv; the last two have the bodies")
    add("--output", type=Path, metavar="FILE", help="write to a file, which is there only once it is whole")
    return parser


@contextmanager
def _interrupted() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C came, to be asked where one can stop: raised inside a library it is swallowed or breaks it.

    Only the second one is raised, as the database may not answer.
    """
    came = []

    def note(number: int, _: object) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if not path:
        yield sys.stdout
        return
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _time(text: str) -> datetime:
    if ago := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return _now() - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 2026-01-31T12:00 or 15m") from None
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; write 0 for all")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
