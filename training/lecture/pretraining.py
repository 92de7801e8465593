"""What a recurrent network gains from starting with embeddings that were learnt elsewhere."""

import os
import time
from pathlib import Path
from typing import Any

from training.compare import measure
from training.cooccurrence import write_embeddings
from training.corpus import SPLITS, VOCABULARY_FILE, Split
from training.errors import TrainingError
from training.lecture.part import Ground, Result, Section, Table
from training.lecture.vectors import RANKING_FILE, SIZE, SKIP_GRAM_FILE
from training.options import FitOptions
from training.variants import BASE

SMALL = 500
"""Reviews of the small corpus, which is read several times in the time that takes a part of the full one."""
VALIDATED = 500
COUNTS_FILE = "counts.npz"
ENDLESS = 1e6
"""Passes over the corpus: the time alone ends a run."""
STARTS = {
    "random": "",
    "counts of which words meet": COUNTS_FILE,
    "ranking": RANKING_FILE,
    "skip-gram, negative sampling": SKIP_GRAM_FILE,
}
"""Embeddings by the file in the run's folder."""


def pretraining(ground: Ground, seconds: float) -> Result:
    """Trains the small LSTM of `training.variants` from each start, fine-tuned and frozen, on both corpora."""
    started = time.process_time()
    _files(ground)
    small = first_reviews(ground.corpus, SMALL, ground.run / f"first-{SMALL}-reviews")
    corpora = {f"{SMALL} reviews": small, f"all {len(ground.split('train')):,} reviews": ground.corpus}
    each = seconds / (2 * len(corpora) * len(STARTS))
    rows = []
    for start, file in STARTS.items():
        row = [start]
        for corpus in corpora.values():
            for frozen in (False, True):
                found = measure(_options(ground.run / file if file else None, frozen, each), corpus, VALIDATED)
                row.append(_cell(found))
                print(f"{start}, {corpus.name}, {'frozen' if frozen else 'fine-tuned'}: {row[-1]}", flush=True)
        rows.append(row)
    columns = [f"{name}, {how}" for name in corpora for how in ("fine-tuned", "frozen")]
    text = (
        f"Perplexity per token on {VALIDATED} validation reviews, and bits per character, of an LSTM "
        f"{BASE['embedding']} × {BASE['hidden']} trained for {each:.0f} seconds of processor time. All embeddings were "
        "learnt from all training reviews, as somebody would who has much text but little of the kind that counts. "
        "The network shares them between input and softmax; frozen, both stay as they were."
    )
    return Result(
        seconds=time.process_time() - started,
        sections=[
            Section(
                title="Embeddings as a start of the recurrent network",
                text=text,
                tables=[Table(columns=["embeddings at the start", *columns], rows=rows)],
            )
        ],
    )


def first_reviews(corpus: Path, count: int, destination: Path) -> Path:
    """Writes a corpus that has the first `count` training reviews of another, and all else as it is there."""
    destination.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        whole = Split(corpus, split)
        reviews = min(count, len(whole)) if split == "train" else len(whole)
        whole.offsets[: reviews + 1].tofile(destination / f"{split}.offsets")
        whole.stars[:reviews].tofile(destination / f"{split}.stars")
        whole.tokens[: whole.offsets[reviews]].tofile(destination / f"{split}.tokens")
    (destination / VOCABULARY_FILE).write_bytes((corpus / VOCABULARY_FILE).read_bytes())
    return destination


def _files(ground: Ground) -> None:
    for file in (RANKING_FILE, SKIP_GRAM_FILE):
        if not (ground.run / file).is_file():
            raise TrainingError(f"There are no embeddings {ground.run / file}; run the part that makes them first.")
    if not (ground.run / COUNTS_FILE).is_file():
        whole = ground.run / f"writing-{COUNTS_FILE}"
        write_embeddings(ground.split("train"), ground.tokenizer, SIZE, whole)
        os.replace(whole, ground.run / COUNTS_FILE)


def _options(embeddings: Path | None, frozen: bool, seconds: float) -> FitOptions:
    sizes = {**BASE, "embedding": SIZE}
    return FitOptions(**sizes, embeddings=embeddings, freeze_embeddings=frozen, minutes=seconds / 60, epochs=ENDLESS)


def _cell(found: dict[str, Any]) -> str:
    if "failed" in found:
        return "diverged"
    return f"{found['perplexity_per_token']:.1f} ({found['bits_per_character']:.3f})"
