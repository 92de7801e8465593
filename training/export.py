"""Writing the artifact: the int8 TorchScript module, its vocabulary, what was measured, and the model card."""

import hashlib
import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from training.artifact import ARITHMETIC, ServedNetwork
from training.calibration import calibrate, calibrated
from training.checkpoint import load_network
from training.corpus import SUMMARY_FILE, VOCABULARY_FILE, Split, corpus_vocabulary
from training.errors import TrainingError
from training.evaluate import Scorer, artifact_scorer, evaluate, measurable_split, network_scorer
from training.model_card import model_card
from training.network import Network
from training.run_log import LOG_FILE
from training.vocabulary import END, UNKNOWN_RATING

FORMAT_VERSION = 2
"""Of the artifact; `app` lists those it reads. Raised when a method or a field of it changes its meaning."""
MODEL_FILE, METRICS_FILE, CARD_FILE = "language_model.pt", "metrics.json", "model_card.md"
SUMS_FILE = "SHA256SUMS"
"""The sums of `CHECKED_FILES`; written last, so that the service refuses an artifact that is half written."""
CHECKED_FILES = (MODEL_FILE, VOCABULARY_FILE)
"""What the service runs and reads with; the figures and the card beside them are for people."""
DESCRIPTION_FILE = "description.json"
"""The extra file inside the TorchScript archive that says what it is."""


def export(
    checkpoint: Path, corpus: Path, destination: Path, about_data: str, reviews: int | None, calibration_reviews: int
) -> dict[str, Any]:
    """Writes the five files of the artifact to `destination`; returns what goes into `metrics.json`.

    `about_data` is a sentence on the training data for the model card. At most `reviews` of each split are measured,
    and the first `calibration_reviews` of the validation split calibrate the network before, if there are any.
    """
    network, saved = load_network(checkpoint)
    vocabulary = (corpus / VOCABULARY_FILE).read_bytes() if (corpus / VOCABULARY_FILE).is_file() else b""
    tokenizer = corpus_vocabulary(corpus)
    if tokenizer.get_vocab_size() != network.vocabulary_size:
        raise TrainingError(f"{checkpoint} was trained on another vocabulary than {corpus} holds; give that corpus.")
    calibration = None
    if calibration_reviews:
        unseen = measurable_split(Split(corpus, "valid"), tokenizer)
        calibration = calibrate(network, list(itertools.islice(unseen, calibration_reviews)))
        network = calibrated(network, calibration)
    module = script(network)
    scorers = {"int8": artifact_scorer(to_measure(script(network))), "float32": network_scorer(network)}
    metrics: dict[str, Any] = {
        "model": f"{network.options.cell}-{network.options.embedding}x{network.options.hidden}-{_digest(module)[:8]}",
        "created": datetime.now(UTC).date().isoformat(),
        "network": network.options.model_dump(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "vocabulary_size": network.vocabulary_size,
        "training": {
            **saved["options"],
            **saved["progress"],
            "teachers": saved.get("taught_by", []),  # not where their checkpoints were
            "device": saved.get("device", "cpu"),
            "data": about_data,
            "torch": str(torch.__version__),
        },
        "calibration": {"reviews": calibration_reviews, **asdict(calibration)} if calibration else None,
        "corpus": json.loads((corpus / SUMMARY_FILE).read_text())["splits"],
        "curve": _curve(checkpoint.parent / LOG_FILE),
        "quality": {
            split: _quality(scorers, Split(corpus, split), split, tokenizer, reviews) for split in ("valid", "test")
        },
    }
    description = {
        "format_version": FORMAT_VERSION,
        "vocabulary_sha256": hashlib.sha256(vocabulary).hexdigest(),
        "tokens": {"opening_unrated": UNKNOWN_RATING, "opening_by_stars": [1, 2, 3, 4, 5], "end": END},
        "state_size": int(module.state_size),
        **{key: metrics[key] for key in ("model", "created", "network", "parameters", "vocabulary_size", "quality")},
        "training_data": about_data,
    }
    extra_files = {DESCRIPTION_FILE: json.dumps(description)}
    destination.mkdir(parents=True, exist_ok=True)
    _replace(destination / MODEL_FILE, lambda path: module.save(str(path), _extra_files=extra_files))
    _replace(destination / VOCABULARY_FILE, lambda path: path.write_bytes(vocabulary))
    _write_metrics(destination, metrics)
    write_sums(destination)
    return metrics


def add_evaluation(directory: Path, evaluation: dict[str, Any]) -> None:
    """Puts what `evaluate --full` measured into an artifact's `metrics.json` and model card, in place of what was."""
    _write_metrics(directory, {**read_metrics(directory), "evaluation": evaluation})


def add_comparison(directory: Path, models: list[dict[str, Any]]) -> None:
    """Puts models that were trained beside this one's kind into `metrics.json`, for `report` to draw.

    Each has a `name`, its `bits_per_character`, and `ours` where it is this project's.
    """
    _write_metrics(directory, {**read_metrics(directory), "comparison": models})


def read_metrics(directory: Path) -> dict[str, Any]:
    try:
        metrics: dict[str, Any] = json.loads((directory / METRICS_FILE).read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{directory} holds no {METRICS_FILE} that can be read ({error}); export there.") from error
    return metrics


def _write_metrics(directory: Path, metrics: dict[str, Any]) -> None:
    _replace(directory / METRICS_FILE, lambda path: path.write_text(json.dumps(metrics, indent=2) + "\n"))
    _replace(directory / CARD_FILE, lambda path: path.write_text(model_card(metrics)))


def write_sums(directory: Path) -> None:
    """Writes the sums of an artifact's code and vocabulary, as `sha256sum --check SHA256SUMS` reads them."""
    sums = [f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n" for name in CHECKED_FILES]
    _replace(directory / SUMS_FILE, lambda path: path.write_text("".join(sums)))


def script(network: Network) -> torch.jit.ScriptModule:
    """Turns a trained network into the module that is served."""
    with _torchscript_unwarned():
        module: torch.jit.ScriptModule = torch.jit.script(ServedNetwork(network.cpu().eval()).eval())
    return module


def to_measure(module: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    """Has it compute by packed weights where the processor has AVX2 and no VNNI, as the service does."""
    capabilities = torch.cpu.get_capabilities()
    if hasattr(module, "pack") and capabilities.get("avx2") and not capabilities.get("avx512_vnni"):
        with _torchscript_unwarned():
            module.pack()
    return module


@contextmanager
def _torchscript_unwarned() -> Iterator[None]:
    # torch 2.13 announces the end of TorchScript, which the artifact contract keeps to, and of its own quantized
    # tensors, which packing weights goes through; torch is pinned.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*torch.quantize_per_tensor.*", category=UserWarning)
        yield


def load_artifact(directory: Path) -> tuple[torch.jit.ScriptModule, Tokenizer]:
    """Loads an artifact to measure it."""
    try:
        with _torchscript_unwarned():
            module: torch.jit.ScriptModule = torch.jit.load(str(directory / MODEL_FILE), map_location="cpu")
        return to_measure(module), Tokenizer.from_file(str(directory / VOCABULARY_FILE))
    except Exception as error:
        raise TrainingError(f"{directory} holds no artifact that can be loaded ({error}); export one there.") from error


def _quality(
    scorers: dict[str, Scorer], split: Split, name: str, tokenizer: Tokenizer, reviews: int | None
) -> dict[str, Any]:
    count = min(reviews or len(split), len(split))
    measured = {
        precision: evaluate(
            scorer, itertools.islice(measurable_split(split, tokenizer), count), count, f"{name}, {precision}"
        )
        for precision, scorer in scorers.items()
    }
    change = measured["int8"].bits_per_character / measured["float32"].bits_per_character - 1
    figures = {precision: evaluation.as_dict() for precision, evaluation in measured.items()}
    return {**figures, "int8_change_percent": round(100 * change, 3)}


def _curve(log: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def _digest(module: torch.jit.ScriptModule) -> str:
    digest = hashlib.sha256(f"arithmetic {ARITHMETIC}".encode())
    for name, values in sorted(module.state_dict().items()):
        digest.update(name.encode() + values.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Writes beside `path` and moves it there whole, so that nobody ever reads half a file."""
    temporary = path.with_name(f".{path.name}.writing")
    write(temporary)
    os.replace(temporary, path)
