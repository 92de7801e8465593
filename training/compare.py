"""Trains one network after another, each with one option changed, and measures what that does in a short budget."""

import json
import multiprocessing
import os
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from training.compare_report import draw, write_document
from training.cooccurrence import write_embeddings
from training.corpus import Split, corpus_vocabulary
from training.errors import TrainingError
from training.fit import Fit
from training.metadata import write_metadata
from training.options import CorpusFolder, FitOptions
from training.variants import BASE, VARIANTS, Variant

RESULTS_FILE = "results.json"
EMBEDDINGS = "embeddings.npz"
THREADS = 1
"""Of each worker: as many runs side by side as there are cores are faster than one on all."""

Results = dict[str, dict[str, Any]]


class Compare(CorpusFolder):
    """Train a small network once for each option, on the same budget, and write a table and a plot of the outcome."""

    run: Path = Field(Path("runs/compare"), description="folder of the results; what is there is not measured again")
    seconds: float = Field(40.0, gt=0, description="processor time of each, in training")
    tokens: int | None = Field(None, ge=1, description="training tokens of each, in place of a time")
    reviews: int = Field(500, ge=1, description="validation reviews to measure")
    workers: int = Field(1, ge=1, description="networks that are trained side by side, each on one thread")
    only: list[str] = Field([], description="names of the options to try; all without it")
    document: Path = Field(Path("training/OPTIONS.md"), description="file that the table is written to")
    figure: Path = Field(Path("docs/figures/options.png"), description="file that the plot is written to")

    def cli_cmd(self) -> None:
        chosen = [variant for variant in VARIANTS if not self.only or variant.name in self.only]
        if unknown := set(self.only) - {variant.name for variant in chosen}:
            raise TrainingError(f"There is no option {', '.join(sorted(unknown))}; {self.document} has their names.")
        budget = {"tokens": self.tokens} if self.tokens else {"seconds": self.seconds}
        settings = {"base": BASE, **budget, "reviews": self.reviews, "threads": THREADS}
        results = compare(chosen, self.corpus, self.run, settings, self.workers)
        write_document(self.document, self.figure, settings, results)
        draw(self.figure, results)
        print(f"Wrote {self.document} and {self.figure}")


def compare(variants: list[Variant], corpus: Path, run: Path, settings: dict[str, Any], workers: int) -> Results:
    """Measures all `variants` that `run` has no result of yet; returns the results of all that were measured there.

    `settings` say the base, the budget (`seconds` of training or `tokens`) and how many `reviews` are measured.
    Results are written as they come, so that what is broken off goes on where it was.
    """
    run.mkdir(parents=True, exist_ok=True)
    results = _results_so_far(run, settings)
    waiting = [v for v in variants if results.get(v.name, {}).get("arguments") != v.arguments]
    if not waiting:
        return results
    _make_embeddings(waiting, corpus, run)
    write_metadata(run, settings, len(results), workers)
    # Spawned, as threads that torch has started do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(THREADS,)) as pool:
        running: dict[Future[dict[str, Any]], Variant] = {
            pool.submit(measure, _options(v, corpus, run, settings), corpus, settings["reviews"]): v for v in waiting
        }
        for done in as_completed(running):
            variant = running[done]
            results[variant.name] = {"arguments": variant.arguments, **done.result()}
            _write(run / RESULTS_FILE, {"settings": settings, "results": results})
            print(f"{variant.name:<30}{_figure(results[variant.name])}", flush=True)
    return results


def measure(options: FitOptions, corpus: Path, reviews: int) -> dict[str, Any]:
    """Trains by `options` and measures the first `reviews` of the validation split."""
    # The processor's time, of which a worker has one thread: what else the machine does takes nothing away.
    fit = Fit(options, corpus, clock=time.process_time)
    try:
        for _ in fit.updates_to_the_end():
            pass
    except TrainingError as error:
        return {"failed": str(error)}
    measured = fit.validate(reviews).as_dict()
    figures = {name: measured[name] for name in ("perplexity_per_token", "bits_per_character")}
    return {**figures, "updates": fit.updates, "tokens": fit.tokens, "seconds": round(fit.seconds, 1)}


def _options(variant: Variant, corpus: Path, run: Path, settings: dict[str, Any]) -> FitOptions:
    split = Split(corpus, "train")
    if "tokens" in settings:
        length = {"epochs": settings["tokens"] / (len(split.tokens) + 2 * len(split))}
    else:
        length = {"minutes": settings["seconds"] / 60, "epochs": 1e6}
    own = {"embeddings": run / EMBEDDINGS} if "embeddings" in variant.changes else {}
    return FitOptions(**{**BASE, **length, **variant.changes, **own})


def _make_embeddings(variants: list[Variant], corpus: Path, run: Path) -> None:
    if any("embeddings" in variant.changes for variant in variants) and not (run / EMBEDDINGS).exists():
        print("Making embeddings from the corpus …", flush=True)
        write_embeddings(Split(corpus, "train"), corpus_vocabulary(corpus), BASE["embedding"], run / EMBEDDINGS)


def _results_so_far(run: Path, settings: dict[str, Any]) -> Results:
    path = run / RESULTS_FILE
    if not path.is_file():
        return {}
    before = json.loads(path.read_text())
    if before["settings"] != settings:
        raise TrainingError(f"{path} was measured with other settings; give them again, or another --run.")
    results: Results = before["results"]
    return results


def _figure(result: dict[str, Any]) -> str:
    if "failed" in result:
        return str(result["failed"])
    return f"{result['perplexity_per_token']:10.1f} per token after {result['tokens']:,} tokens"


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(".writing")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(temporary, path)
