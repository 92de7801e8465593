"""The command line: `python -m benchmarks.serve next-words`, or another of the names that `--help` tells."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_settings import CliSubCommand, SettingsConfigDict

from benchmarks.serve import bits, fairness, letters, next_words, overload, results, streams, vanishing, workers
from training.command_line import CommandLineProgram, run_program


class ResultsFolder(BaseModel):
    results: Path = Field(Path("runs/serve"), description="folder of the results, one file for each benchmark")


class Benchmark(ResultsFolder):
    def keep(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        results.keep(self.results, name, measure())


class NextWords(Benchmark):
    """Requests per second of /next-word beside an empty endpoint and the plain way."""

    seconds: float = Field(6.0, ge=1, description="of each measurement of a round")

    def cli_cmd(self) -> None:
        self.keep("next-words", lambda: next_words.throughput(self.seconds))


class LongText(Benchmark):
    """What a keystroke costs at the end of a long text."""

    def cli_cmd(self) -> None:
        self.keep("long-text", next_words.long_text)


class Letters(Benchmark):
    """What a keystroke costs that asks after every letter."""

    seconds: float = Field(6.0, ge=1, description="of each measurement of a round")

    def cli_cmd(self) -> None:
        self.keep("letters", lambda: letters.letters(self.seconds))


class Streams(Benchmark):
    """Tokens per second of 32 streams beside the bare module's."""

    def cli_cmd(self) -> None:
        self.keep("streams", streams.streams)


class Fairness(Benchmark):
    """A keystroke beside heavy work."""

    def cli_cmd(self) -> None:
        self.keep("fairness", fairness.fairness)


class Bits(Benchmark):
    """Equal bits whatever else runs."""

    def cli_cmd(self) -> None:
        self.keep("bits", bits.bits)


class Overload(Benchmark):
    """Four times the requests that can be answered."""

    seconds: float = Field(60.0, ge=1, description="of overload")

    def cli_cmd(self) -> None:
        self.keep("overload", lambda: overload.overload(self.seconds))


class Vanishing(Benchmark):
    """Clients that vanish in the middle of a stream."""

    def cli_cmd(self) -> None:
        self.keep("vanishing", vanishing.vanishing)


class Workers(Benchmark):
    """Several worker processes beside one."""

    count: int = Field(2, ge=2, description="workers beside one")
    seconds: float = Field(6.0, ge=1, description="of each measurement of a round")

    def cli_cmd(self) -> None:
        self.keep("workers", lambda: workers.workers(self.count, self.seconds))


class Page(ResultsFolder):
    """Show all results that are there, in Markdown."""

    def cli_cmd(self) -> None:
        print(results.page(self.results))


class CommandLine(CommandLineProgram):
    """Measures the service under load, on this machine, beside what it is compared with."""

    model_config = SettingsConfigDict(cli_prog_name="python -m benchmarks.serve")

    next_words: CliSubCommand[NextWords] = Field(description="suggestions while somebody types, at 64 connections")
    long_text: CliSubCommand[LongText] = Field(description="one person who types a long text")
    letters: CliSubCommand[Letters] = Field(description="people who ask at every letter, not at every word")
    streams: CliSubCommand[Streams] = Field(description="reviews that are streamed")
    fairness: CliSubCommand[Fairness] = Field(description="a keystroke beside heavy work")
    bits: CliSubCommand[Bits] = Field(description="equal bits whatever else runs")
    overload: CliSubCommand[Overload] = Field(description="four times the requests that can be answered")
    vanishing: CliSubCommand[Vanishing] = Field(description="clients that vanish in the middle of a stream")
    workers: CliSubCommand[Workers] = Field(description="several worker processes beside one")
    page: CliSubCommand[Page] = Field(description="the results so far as one page")


def main(arguments: list[str] | None = None) -> int:
    return run_program(CommandLine, arguments, "Stopped; nothing was written.")


if __name__ == "__main__":
    sys.exit(main())
