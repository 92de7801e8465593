"""The command line: `python -m training prepare|embed|train|evaluate|export|report|compare|lecture|all`."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field
from pydantic_settings import CliPositionalArg, CliSubCommand, SettingsConfigDict
from tokenizers import Tokenizer

from training.baselines.kneser_ney import KneserNey
from training.checkpoint import CHECKPOINT_FILE, load_network
from training.command_line import CommandLineProgram, run_program
from training.compare import Compare
from training.corpus import Split, corpus_vocabulary, prepare_corpus
from training.embed import Embed
from training.errors import TrainingError
from training.evaluate import (
    Evaluation,
    Measurable,
    artifact_scorer,
    evaluate,
    measurable_reviews,
    measurable_split,
    network_scorer,
)
from training.evaluation_tables import MODEL, evaluation_tables
from training.export import add_evaluation, export, load_artifact, read_metrics, script, to_measure
from training.fit import Fit, fit
from training.full_evaluation import Amounts, evaluate_fully
from training.language_model import LanguageModel
from training.lecture.command import Lecture
from training.network import Network
from training.options import CorpusFolder, FitOptions, RunFolder
from training.parallel import joined, launched
from training.reviews import ReadingSummary, read_reviews
from training.spelling import Spelling
from training.vocabulary import MINIMUM_SIZE


class PrepareOptions(CorpusFolder):
    reviews: CliPositionalArg[list[Path]] = Field(
        description="files to train on: Yelp's .json, its .csv, .parquet or .txt, also with .gz or .zst"
    )
    valid: list[Path] = Field([], description="files to validate on; without any, 2 % of the reviews are held out")
    test: list[Path] = Field([], description="files for the final figures; without any, 2 % are held out")
    vocabulary_size: int = Field(16_000, ge=MINIMUM_SIZE, le=65_536, description="tokens in the vocabulary")
    vocabulary_reviews: int = Field(200_000, ge=1, description="learn the vocabulary from the first so many reviews")


class Prepare(PrepareOptions):
    """Read reviews, learn the vocabulary, and write the tokenised corpus."""

    def cli_cmd(self) -> None:
        _prepare(self)


class TrainOptions(CorpusFolder, RunFolder, FitOptions):
    resume: bool = Field(
        False, description="go on with the run in this folder; of the other options only epochs and minutes count"
    )
    save_minutes: float = Field(5.0, gt=0, description="save a checkpoint and validate this often")
    tensorboard: bool = Field(False, description="write curves for TensorBoard into the run's folder")


class Train(TrainOptions):
    """Train a network on the prepared corpus; stop it at will and go on with --resume."""

    def cli_cmd(self) -> None:
        _train(self)


class Evaluate(CorpusFolder, RunFolder):
    """Measure perplexity and bits per character, of a trained network or (with --artifact) of an exported one."""

    files: CliPositionalArg[list[Path]] = Field([], description="files of reviews; without any, a split of the corpus")
    artifact: Path | None = Field(None, description="folder of an exported artifact; without it, the run's checkpoint")
    split: str = Field("test", pattern="^(train|valid|test)$", description="split of the corpus: train, valid or test")
    hide_ratings: bool = Field(False, description="do not tell the model how many stars a review gave")
    json_file: Path | None = Field(None, description="write the figures to this file, too")
    full: bool = Field(
        False,
        description="measure by rating, next words, keystroke savings, calibration, memorisation and diversity, too; "
        "with --artifact the figures go into its metrics.json and model card",
    )
    reviews: int = Field(500, ge=1, description="with --full: predict the next words of so many reviews")
    generated: int = Field(1000, ge=2, description="with --full: write so many reviews")
    baseline: Path | None = Field(None, description="with --full: an n-gram model to predict the same next words")

    def cli_cmd(self) -> None:
        _evaluate(self)


class ExportOptions(CorpusFolder, RunFolder):
    destination: Path = Field(Path("model"), description="folder that the artifact is written to")
    about_data: str = Field(
        "Reviews that the person who trained it provided.", description="a sentence on the data, for the model card"
    )
    measure: int | None = Field(None, ge=1, description="measure this many reviews of each split; all without it")
    calibrate: int = Field(
        300, ge=0, description="validation reviews that a temperature and scales of the n-grams are fitted on; 0: none"
    )


class Export(ExportOptions):
    """Write the int8 artifact that the service loads, with its vocabulary, figures and model card."""

    def cli_cmd(self) -> None:
        _export(self)


class Report(BaseModel):
    """Draw an artifact's figures: training curve, reliability, ranks and comparison, as PNG files."""

    artifact: Path = Field(Path("model"), description="folder of the artifact, whose metrics.json has the figures")
    destination: Path = Field(Path("docs/figures"), description="folder that the pictures are written to")

    def cli_cmd(self) -> None:
        from training.report import report  # noqa: PLC0415 - half a second, which the other commands need not wait

        for path in report(self.artifact, self.destination):
            print(f"Wrote {path}")


class All(PrepareOptions, TrainOptions, ExportOptions):
    """prepare, train, evaluate and export, one after the other."""

    def cli_cmd(self) -> None:
        if launched():
            raise TrainingError("Only `train` can be shared out by torchrun; run the other steps without it.")
        _prepare(self)
        _train(self)
        _evaluate(Evaluate(files=[], corpus=self.corpus, run=self.run))
        _export(self)


class CommandLine(CommandLineProgram):
    """Trains the language model of reviews: files of reviews in, the artifact that the service loads out."""

    model_config = SettingsConfigDict(cli_prog_name="python -m training")

    prepare: CliSubCommand[Prepare] = Field(description="files of reviews → vocabulary and tokenised corpus")
    train: CliSubCommand[Train] = Field(description="corpus → trained network; --resume goes on")
    embed: CliSubCommand[Embed] = Field(description="corpus → embeddings that training may start from")
    evaluate: CliSubCommand[Evaluate] = Field(description="perplexity and much else (--full) on any reviews")
    export: CliSubCommand[Export] = Field(description="trained network → int8 artifact that the service loads")
    report: CliSubCommand[Report] = Field(description="an artifact's figures → pictures")
    compare: CliSubCommand[Compare] = Field(description="every option, tried on the same short budget")
    lecture: CliSubCommand[Lecture] = Field(description="models from the trigram to the RNN, beside each other")
    all: CliSubCommand[All] = Field(description="prepare, train, evaluate and export, one after the other")


def _prepare(options: PrepareOptions) -> None:
    sources = {"train": options.reviews, "valid": options.valid, "test": options.test}
    summary = prepare_corpus(sources, options.corpus, options.vocabulary_size, options.vocabulary_reviews)
    print(f"{'split':<6} {'reviews':>10} {'words':>14} {'tokens':>14}")
    for split, sizes in summary["splits"].items():
        print(f"{split:<6} {sizes['reviews']:>10,} {sizes['words']:>14,} {sizes['tokens']:>14,}")
    _show_skipped(summary["skipped"], summary["first_skipped"])


def _train(options: TrainOptions) -> None:
    with joined() as ranks:
        finished: Fit = fit(
            FitOptions(**options.model_dump(include=set(FitOptions.model_fields), exclude_unset=True)),
            options.corpus,
            options.run,
            resume=options.resume,
            save_minutes=options.save_minutes,
            tensorboard=options.tensorboard,
            ranks=ranks,
        )
    if ranks.rank == 0:
        minutes = finished.seconds / 60
        print(f"Trained {finished.tokens:,} tokens in {minutes:.1f} minutes: {options.run / CHECKPOINT_FILE}")


def _evaluate(options: Evaluate) -> None:
    model, tokenizer = _model(options)
    summary = ReadingSummary()
    measured, total = _measured(options, tokenizer, summary)
    if options.full:
        figures = _evaluate_fully(options, model, tokenizer, list(measured))
    else:
        scorer = network_scorer(model) if isinstance(model, Network) else artifact_scorer(model)
        evaluation = evaluate(scorer, measured, total, "evaluating")
        _show(evaluation)
        figures = evaluation.as_dict()
    _show_skipped(summary.skipped, summary.shown)
    if options.json_file:
        options.json_file.write_text(json.dumps(figures, indent=2) + "\n")


def _measured(
    options: Evaluate, tokenizer: Tokenizer, summary: ReadingSummary
) -> tuple[Iterable[Measurable], int | None]:
    """The reviews to measure, and their number where it is known."""
    rated = options.full or not options.hide_ratings  # the full evaluation hides them where it must not know them
    if options.files:
        reviews = (review for path in options.files for review in read_reviews(path, summary, progress=False))
        return measurable_reviews(reviews, tokenizer, rated), None
    if corpus_vocabulary(options.corpus).to_str() != tokenizer.to_str():
        raise TrainingError(f"{options.corpus} was prepared with another vocabulary than {options.artifact} has.")
    split = Split(options.corpus, options.split)
    return measurable_split(split, tokenizer, rated), len(split)


def _evaluate_fully(
    options: Evaluate, model: Network | torch.jit.ScriptModule, tokenizer: Tokenizer, reviews: list[Measurable]
) -> dict[str, Any]:
    if options.artifact:
        read_metrics(options.artifact)  # fail now rather than when all is measured, as in the next line
    Spelling(tokenizer)
    served: Any = to_measure(script(model)) if isinstance(model, Network) else model
    models: dict[str, LanguageModel] = {MODEL: served}
    if options.baseline:
        baseline = KneserNey.load(options.baseline)
        models[f"Kneser–Ney {baseline.order}-gram"] = baseline
    training, amounts = Split(options.corpus, "train"), Amounts(options.reviews, options.generated)
    figures = evaluate_fully(models, tokenizer, reviews, training, amounts, rated=not options.hide_ratings)
    source = ", ".join(path.name for path in options.files) or f"the {options.split} reviews"
    figures = {"measured_on": source, **figures}
    print(evaluation_tables(figures))
    if options.artifact:
        add_evaluation(options.artifact, figures)
        print(f"\nWrote the figures and the model card to {options.artifact}/")
    return figures


def _model(options: Evaluate) -> tuple[Network | torch.jit.ScriptModule, Tokenizer]:
    if options.artifact:
        return load_artifact(options.artifact)
    network, _ = load_network(options.run / CHECKPOINT_FILE)
    tokenizer = corpus_vocabulary(options.corpus)
    if tokenizer.get_vocab_size() != network.vocabulary_size:
        raise TrainingError(f"{options.run} was trained on another vocabulary than {options.corpus} holds.")
    return network, tokenizer


def _show_skipped(skipped: Mapping[str, int], first: list[str]) -> None:
    for reason, count in skipped.items():
        print(f"skipped {count:,}: {reason}")
    for line in first:
        print(f"  {line}")


def _show(evaluation: Evaluation) -> None:
    for name, value in evaluation.as_dict().items():
        print(f"{name.replace('_', ' '):<22}{value:>14,}")


def _export(options: ExportOptions) -> None:
    metrics = export(
        options.run / CHECKPOINT_FILE,
        options.corpus,
        options.destination,
        options.about_data,
        options.measure,
        options.calibrate,
    )
    for split, quality in metrics["quality"].items():
        print(
            f"{split:<6} {quality['int8']['bits_per_character']:.4f} bits per character in int8, "
            f"{quality['float32']['bits_per_character']:.4f} in float32 ({quality['int8_change_percent']:+.2f} %)"
        )
    print(f"Wrote {metrics['model']} to {options.destination}/")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; whatever a user can put right ends in one sentence and status 1."""
    if "OMP_NUM_THREADS" not in os.environ:  # torch heeds it; by itself it takes a thread per core
        torch.set_num_threads(os.cpu_count() or 1)
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")  # products of 32-bit numbers in TF32: several times as many a second
    return run_program(CommandLine, arguments, "Stopped; `train --resume` goes on from the last checkpoint.")


if __name__ == "__main__":
    sys.exit(main())
