"""The command line: `python -m app.bulk score|generate FILE… --output FOLDER`; `--help` lists the options."""

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.bulk import cluster, local
from app.bulk.answers import columns_of
from app.bulk.job import Done, Job, Part
from app.bulk.output import missing, opened
from app.bulk.sources import files_of, parts_of
from app.console import fail
from app.errors import StartupError
from app.language_model import MODEL_FILE
from app.schemas import GenerateRequest
from app.settings import read_settings

PART_ROWS = 5_000
"""Some minutes of one core, which is what a killed run loses."""
SAMPLING = {
    "max_tokens": int, "temperature": float, "top_k": int, "top_p": float, "min_p": float, "repetition_penalty": float,
}  # fmt: skip
LINE_SECONDS = 5.0
"""Between two lines that tell how far it is."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except StartupError as error:
        return fail(str(error))
    except OSError as error:
        return fail(
            f"{error.filename or 'the output'}: {error.strerror}; check the path, its permissions and the disk."
        )
    except KeyboardInterrupt:
        return fail("stopped; the same command goes on with the parts that lack.")
    return 0


def _run(options: argparse.Namespace) -> None:
    job = _job(options)
    columns = dict.fromkeys([job.text_column, *filter(None, [job.stars_column]), *job.keep])
    parts = parts_of(files_of(options.inputs), list(columns), options.part_rows)
    with opened(job.output):
        if lacking := missing(job, parts, options.part_rows):
            _tell_progress(_done(options, job, lacking), parts, lacking)
    rows = sum(part.stop - part.start for part in parts)
    print(f"{job.output} is whole: {rows:,} rows in {len(parts):,} files.", file=sys.stderr)


def _done(options: argparse.Namespace, job: Job, parts: Sequence[Part]) -> Iterator[Done]:
    if options.ray:
        return cluster.run(job, parts, options.workers, options.ray)
    return local.run(job, parts, options.workers or _cores())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _job(options: argparse.Namespace) -> Job:
    settings = read_settings()
    folder = (options.model or settings.model_directory).absolute()
    job = Job(
        command=options.command,
        output=options.output.absolute(),
        model_directory=folder,
        model_sha256=settings.model_sha256 or _sha256(folder / MODEL_FILE),
        text_column=options.text_column,
        stars_column=options.stars_column,
        keep=tuple(options.keep),
        **(_generation(options) if options.command == "generate" else {"tokens": options.tokens}),
    )
    if taken := {"file", "row", "error", *columns_of(job)} & set(job.keep):
        raise StartupError(f"--keep {taken.pop()}: the results have a column of that name; rename the input's.")
    return job


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise StartupError(f"There is no {path}; name the artifact's folder with --model.") from None


def _generation(options: argparse.Namespace) -> dict[str, Any]:
    asked = {**{name: getattr(options, name) for name in SAMPLING}, "stop": options.stop}
    try:
        GenerateRequest(**asked, seed=options.seed)
    except ValidationError as error:
        problem = error.errors()[0]
        raise StartupError(f"--{str(problem['loc'][0]).replace('_', '-')}: {problem['msg']}.") from None
    return {"seed": options.seed, "options": asked}


def _tell_progress(done: Iterator[Done], parts: Sequence[Part], lacking: Sequence[Part]) -> None:
    """Tells on stderr how far the run is."""
    began = told = time.monotonic()
    total = sum(part.stop - part.start for part in parts)
    before = total - (to_do := sum(part.stop - part.start for part in lacking))
    rows = tokens = errors = 0
    if before:
        print(f"going on: {before:,} of {total:,} rows are there", file=sys.stderr, flush=True)
    for part in done:
        rows, tokens, errors = rows + part.rows, tokens + part.tokens, errors + part.errors
        seconds = time.monotonic() - began
        if rows == to_do or time.monotonic() - told > LINE_SECONDS:
            told = time.monotonic()
            left = f"{seconds * (to_do - rows) / rows / 60:.0f} minutes left"
            speed = f"{rows / seconds:,.0f} rows/s, {tokens / seconds:,.0f} tokens/s"
            print(f"{before + rows:,} of {total:,} rows, {speed}, {left}", file=sys.stderr, flush=True)
    if errors:
        print(f"{errors:,} rows have no answer; the column `error` says why", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.bulk",
        description="Scores or writes reviews for whole files. A run that was stopped or killed goes on when the "
        "same command is given again.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="score|generate")
    score = _command(commands, "score", "perplexity of each text, as POST /score tells it", "text", "to score")
    score.add_argument("--tokens", action="store_true", help="tell each token's score, too")
    generate = _command(
        commands, "generate", "a review for each prompt, as POST /generate writes it", "prompt", "of prompts"
    )
    generate.add_argument(
        "--seed", type=int, default=0, help="of the first row (default 0); the next row's is one more"
    )
    for name, kind in SAMPLING.items():
        field = GenerateRequest.model_fields[name]
        about = f"{field.description or 'as of POST /generate'} (default {field.default})"
        generate.add_argument(f"--{name.replace('_', '-')}", type=kind, default=field.default, help=about)
    generate.add_argument("--stop", action="append", default=[], metavar="TEXT", help="ends a review; may be repeated")
    return parser


def _command(commands: Any, name: str, about: str, column: str, what: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    add = command.add_argument
    add("inputs", type=Path, nargs="+", metavar="FILE", help=".parquet, or JSON lines; or a folder of them")
    add("--output", type=Path, required=True, metavar="FOLDER", help="for the Parquet files with the results")
    add("--text-column", default=column, metavar="NAME", help=f"column {what} (default {column})")
    add("--stars-column", metavar="NAME", help="column of ratings 1 to 5 that the texts go with; else they are unknown")
    add("--keep", nargs="+", default=[], metavar="NAME", help="columns to copy into the results, such as review_id")
    add("--model", type=Path, metavar="FOLDER", help="of the artifact; else what REVIEW_LM_MODEL_DIRECTORY says")
    add("--workers", type=_count, metavar="N", help="processes (default: as many as there are cores)")
    add("--part-rows", type=_count, default=PART_ROWS, metavar="N", help=f"rows of a file of results ({PART_ROWS})")
    add(
        "--ray", nargs="?", const="auto", metavar="ADDRESS", help="run on a Ray cluster: the one here, or at an address"
    )
    return command


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
