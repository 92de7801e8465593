"""The results of a lecture on disk: a JSON file a part, written as soon as it is done."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from training.errors import TrainingError
from training.lecture.part import Part, Result, Strict

SETTINGS_FILE = "settings.json"
T = TypeVar("T", bound=Strict)


class Settings(Strict):
    """What all results of a folder have in common."""

    minutes: float
    training_words: int
    training_reviews: int
    measured_reviews: int
    next_word_reviews: int
    machine: str


class Kept(Strict):
    """All that the page is written from; `parts` in the order of the page."""

    settings: Settings
    parts: dict[str, Result]


def begin(run: Path, settings: Settings) -> None:
    """Opens a folder for results of these settings; one that has results of others is refused."""
    path = run / SETTINGS_FILE
    if path.is_file() and _read(Settings, path) != settings:
        raise TrainingError(f"{path} tells other settings; give the same --minutes and --corpus, or another --run.")
    run.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)


def result_file(run: Path, name: str) -> Path:
    return run / f"{name}.json"


def read_results(run: Path, parts: tuple[Part, ...]) -> Kept:
    """The results of all `parts` that have one."""
    if not (run / SETTINGS_FILE).is_file():
        raise TrainingError(f"There is no result in {run}; run `python -m training lecture` without --report first.")
    files = {part.name: result_file(run, part.name) for part in parts}
    found = {name: _read(Result, path) for name, path in files.items() if path.is_file()}
    return Kept(settings=_read(Settings, run / SETTINGS_FILE), parts=found)


def write_json(path: Path, content: Strict) -> None:
    """Replaces `path` once all is written."""
    temporary = path.with_suffix(".writing")
    temporary.write_text(content.model_dump_json(indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _read(kind: type[T], path: Path) -> T:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise TrainingError(f"{path} cannot be read; delete it and run its part again. ({error})") from error
