"""What a model of the comparison came to: measured, kept as JSON, and shown as one table."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.corpus import SUMMARY_FILE, Split, corpus_vocabulary
from training.errors import TrainingError
from training.evaluate import Scorer, evaluate, measurable_split

LABELS = {
    "kneser-ney": "modified Kneser–Ney 5-gram",
    "word-language-model": "pytorch/examples `word_language_model` (LSTM)",
    "transformer": "GPT-style transformer",
    "review-lm": "**review-lm**",
}
"""How the table calls the results of the commands; others it calls by their names."""
OURS = "review-lm"
QUALITY = ("bits_per_character", "perplexity_per_word", "perplexity_per_token", "reviews")


@dataclass(frozen=True)
class Trained:
    """A trained model as the comparison sees it.

    `tokens` were read in `seconds` of training, some perhaps more than once. `parameters` are all that it learned but
    those `looked_up`: in tables of n-grams, of which a token reads one row or a few.
    """

    scorer: Scorer
    parameters: int
    looked_up: int
    tokens: int
    seconds: float
    options: dict[str, Any]


def measure(trained: Trained, corpus: Path) -> dict[str, Any]:
    """Measures a model on the validation and the test split; returns all that is known of it."""
    tokenizer = corpus_vocabulary(corpus)
    quality = {}
    for name in ("valid", "test"):
        split = Split(corpus, name)
        evaluation = evaluate(trained.scorer, measurable_split(split, tokenizer), len(split), f"measuring {name}")
        quality[name] = evaluation.as_dict()
    return {
        "quality": quality,
        "minutes": round(trained.seconds / 60, 2),
        "tokens": trained.tokens,
        "parameters": trained.parameters,
        "looked_up": trained.looked_up,
        "threads": torch.get_num_threads(),
        "machine": machine(),
        "corpus": json.loads((corpus / SUMMARY_FILE).read_text())["splits"],
        "options": trained.options,
    }


def machine() -> str:
    """What the figures were measured on, in words."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "processor unknown")
    return f"{processor}, {os.cpu_count()} cores, torch {torch.__version__}"


def write_result(folder: Path, name: str, result: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return path


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the results in a folder by their names, the worst first; they must be of one corpus."""
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    if not results:
        raise TrainingError(f"There is no result in {folder}; run `python -m benchmarks.quality review-lm` first.")
    first, *others = results
    for name in others:
        if results[name]["corpus"] != results[first]["corpus"]:
            raise TrainingError(f"{name}.json and {first}.json in {folder} are of different corpora; remove one.")
    return dict(sorted(results.items(), key=lambda item: -item[1]["quality"]["test"]["bits_per_character"]))


def comparison(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The results on the test split as an artifact's `metrics.json` has them."""
    figures = ("minutes", "tokens", "parameters", "looked_up", "threads")
    return [
        {
            "name": LABELS.get(name, name).replace("*", "").replace("`", ""),
            "ours": name.startswith(OURS),
            **{figure: result["quality"]["test"][figure] for figure in QUALITY},
            **{figure: result[figure] for figure in figures},
        }
        for name, result in results.items()
    ]


def table(results: dict[str, dict[str, Any]]) -> str:
    """Returns the results on the test split as Markdown, with the machines they were measured on."""
    reviews = next(iter(results.values()))["quality"]["test"]["reviews"]
    machines = dict.fromkeys(result["machine"] for result in results.values())
    lines = [
        f"| on {reviews:,} test reviews | bits per character | perplexity per word | per token | parameters "
        "| looked up | tokens read | minutes | threads |",
        "|---|" + "---:|" * 8,
        *(_row(LABELS.get(name, name), result) for name, result in results.items()),
        "",
        f"Measured on {'; '.join(machines)}.",
    ]
    return "\n".join(lines)


def _row(label: str, result: dict[str, Any]) -> str:
    quality = result["quality"]["test"]
    cells = [
        label,
        f"{quality['bits_per_character']:.3f}",
        f"{quality['perplexity_per_word']:.1f}",
        f"{quality['perplexity_per_token']:.1f}",
        *(f"{result[name] / 1e6:.1f} M" for name in ("parameters", "looked_up", "tokens")),
        f"{result['minutes']:.1f}",
        str(result["threads"]),
    ]
    return f"| {' | '.join(cells)} |"
