"""What an artifact's folder gives the service: the model, how its words are spelled, and its figures."""

from dataclasses import dataclass
from typing import Any

from app.language_model import LanguageModel, load_language_model
from app.metrics_file import read_metrics
from app.settings import Settings
from app.spelling import Spelling


@dataclass(frozen=True)
class Artifact:
    model: LanguageModel
    spelling: Spelling
    metrics: dict[str, Any] | None


def load_artifact(settings: Settings) -> Artifact:
    """Raises StartupError, as `load_language_model` does."""
    model = load_language_model(settings.model_directory, settings.cache_bytes, settings.model_sha256)
    return Artifact(model, Spelling(model.vocabulary), read_metrics(settings.model_directory))
