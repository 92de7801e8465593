"""The command line: `python -m benchmarks.quality word-language-model|transformer|kneser-ney|review-lm|table`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field
from pydantic_settings import CliSubCommand, SettingsConfigDict

from app.memory import keep_freed_memory
from benchmarks.quality.own_models import estimate_kneser_ney, train_review_lm
from benchmarks.quality.results import Trained, comparison, measure, read_results, table, write_result
from benchmarks.quality.transformer_fit import TransformerOptions, train_transformer
from benchmarks.quality.word_language_model import WordLanguageModelOptions, train_word_language_model
from training.command_line import CommandLineProgram, run_program
from training.export import add_comparison
from training.options import CorpusFolder, FitOptions


class ResultsFolder(BaseModel):
    results: Path = Field(Path("runs/quality"), description="folder of the results, one file for each model")


class Comparison(ResultsFolder, CorpusFolder):
    threads: int = Field(1, ge=1, description="threads of torch, the times of which are added up")
    name: str | None = Field(
        None, pattern=r"^[\w.-]+$", description="name of the result, for one beside that of the command's own name"
    )

    def record(self, name: str, train: Callable[[], Trained]) -> None:
        """Trains and measures a model, writes the result as `name`, if no other was given, and shows it."""
        torch.set_num_threads(self.threads)
        keep_freed_memory()
        result = measure(train(), self.corpus)
        path = write_result(self.results, self.name or name, result)
        print(table({self.name or name: result}))
        print(f"Wrote {path}")


class TimedComparison(Comparison):
    minutes: float = Field(
        12.0, gt=0, description="processor time of training; reading, validating and measuring do not count"
    )


class WordLanguageModel(TimedComparison, WordLanguageModelOptions):
    """Train the LSTM recipe of pytorch/examples and measure it."""

    def cli_cmd(self) -> None:
        options = WordLanguageModelOptions(**values(WordLanguageModelOptions, self))
        self.record("word-language-model", lambda: train_word_language_model(options, self.corpus, self.minutes))


class Transformer(TimedComparison, TransformerOptions):
    """Train a GPT-style transformer and measure it."""

    def cli_cmd(self) -> None:
        options = TransformerOptions(**values(TransformerOptions, self))
        self.record("transformer", lambda: train_transformer(options, self.corpus, self.minutes))


class KneserNey(Comparison):
    """Estimate a modified Kneser–Ney 5-gram, which takes the time that it takes, and measure it."""

    def cli_cmd(self) -> None:
        self.record("kneser-ney", lambda: estimate_kneser_ney(self.corpus))


class ReviewLM(Comparison, FitOptions):
    """Train this project's network and measure it."""

    minutes: float | None = Field(12.0, gt=0, description="finish within this processor time, even before all epochs")

    def cli_cmd(self) -> None:
        options = FitOptions(**values(FitOptions, self))
        self.record("review-lm", lambda: train_review_lm(options, self.corpus))


class Table(ResultsFolder):
    """Show the results that are there as one Markdown table."""

    artifact: Path | None = Field(None, description="folder of an artifact whose metrics.json is to have them, too")

    def cli_cmd(self) -> None:
        results = read_results(self.results)
        print(table(results))
        if self.artifact:
            add_comparison(self.artifact, comparison(results))


class CommandLine(CommandLineProgram):
    """Trains language models on one corpus for the same time, and compares what they predict."""

    model_config = SettingsConfigDict(cli_prog_name="python -m benchmarks.quality")

    kneser_ney: CliSubCommand[KneserNey] = Field(description="modified Kneser–Ney 5-gram")
    word_language_model: CliSubCommand[WordLanguageModel] = Field(description="LSTM recipe of pytorch/examples")
    transformer: CliSubCommand[Transformer] = Field(description="GPT-style transformer")
    review_lm: CliSubCommand[ReviewLM] = Field(description="this project's network")
    table: CliSubCommand[Table] = Field(description="the results so far as one table")


def values(options: type[BaseModel], command: BaseModel) -> dict[str, Any]:
    """The part of a command's values that a model is trained with."""
    return {name: getattr(command, name) for name in options.model_fields}


def main(arguments: list[str] | None = None) -> int:
    return run_program(CommandLine, arguments, "Stopped; nothing was measured.")


if __name__ == "__main__":
    sys.exit(main())
