"""`python -m training lecture`: runs the parts that have no result yet, and writes the page of all that have one."""

import time
from pathlib import Path

import torch
from pydantic import Field

from training.errors import TrainingError
from training.lecture.kept import Settings, begin, read_results, result_file, write_json
from training.lecture.measure import NEXT_WORD_REVIEWS, REVIEWS
from training.lecture.part import WHOLE_MINUTES, Ground, Part
from training.metadata import machine
from training.options import CorpusFolder


class Lecture(CorpusFolder):
    """Train and measure the lecture's models, from the trigram to the RNN, and write a page of them."""

    run: Path = Field(Path("runs/lecture"), description="folder of the results; what is there is not run again")
    artifact: Path = Field(Path("model"), description="folder of the artifact to compare with")
    minutes: float = Field(WHOLE_MINUTES, gt=0, description="processor time of all parts together")
    only: list[str] = Field([], description="names of the parts to run; all without it")
    report: bool = Field(False, description="run nothing: write the page of the results that are there")
    document: Path = Field(Path("docs/lecture.md"), description="page that is written; its figures go beside it")

    def cli_cmd(self) -> None:
        from training.lecture.parts import PARTS  # noqa: PLC0415 - the other commands need none of it

        if unknown := set(self.only) - {part.name for part in PARTS}:
            names = ", ".join(part.name for part in PARTS)
            raise TrainingError(f"There is no part {', '.join(sorted(unknown))}; there are {names}.")
        if not self.report:
            run_parts([part for part in PARTS if not self.only or part.name in self.only], self)
        from training.lecture.page import write_page  # noqa: PLC0415 - nor matplotlib, which takes half a second

        for path in write_page(self.document, read_results(self.run, PARTS)):
            print(f"Wrote {path}")


def run_parts(parts: list[Part], options: Lecture) -> None:
    """Runs those of `parts` that have no result yet, each on one thread, and keeps what each has found."""
    ground = Ground(options.corpus, options.artifact, options.run)
    settings = Settings(
        minutes=options.minutes,
        training_words=ground.words,
        training_reviews=len(ground.training()),
        measured_reviews=min(REVIEWS, len(ground.split("test"))),
        next_word_reviews=min(NEXT_WORD_REVIEWS, len(ground.split("test"))),
        machine="{cores} cores, {instructions}".format(**machine()),
    )
    begin(options.run, settings)
    torch.set_num_threads(1)
    for part in parts:
        path = result_file(options.run, part.name)
        if path.is_file():
            continue
        started = time.process_time()
        result = part.run(ground, 60 * part.minutes * options.minutes / WHOLE_MINUTES)
        seconds = time.process_time() - started
        write_json(path, result.model_copy(update={"seconds": round(seconds, 1)}))
        print(f"{part.name:<30}{seconds:8.0f} s", flush=True)
