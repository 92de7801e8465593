"""The shipped model, a tiny one that can be searched by brute force, and one real server that most tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.language_model import LanguageModel, load_language_model
from app.spelling import Spelling
from tests.app.random_artifact import write_random_artifact
from tests.app.support import API_KEY, ARTIFACT, Server, running_server


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """The artifact that is shipped."""
    return load_language_model(ARTIFACT)


@pytest.fixture(scope="session")
def spelling(model: LanguageModel) -> Spelling:
    return Spelling(model.vocabulary)


@pytest.fixture(scope="session")
def random_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny")
    write_random_artifact(directory)
    return directory


@pytest.fixture(scope="session")
def tiny(random_artifact: Path) -> LanguageModel:
    return load_language_model(random_artifact)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service as it is shipped, but for its port and the place of its log."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def limited_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with keys and with limits that a test reaches; its client knows a key."""
    variables = {
        "API_KEYS": f"another-key, {API_KEY}",
        "LOG_BODIES": "none",
        "MAX_CHARACTERS": "50",
        "MAX_TEXTS": "3",
        "MAX_BODY_BYTES": "2000",
        "MAX_N": "4",
        "MAX_TOKENS": "10000000",
        "MAX_WAITING_REVIEWS": "16",
        "MAX_WAITING_TOKENS": "1000000000",
        "DEADLINE_SECONDS": "5",
        "MAX_HEAD_BYTES": "2048",
        "READ_SECONDS": "1",
    }
    directory = tmp_path_factory.mktemp("limited")
    with running_server(directory, **{f"REVIEW_LM_{name}": value for name, value in variables.items()}) as running:
        running.client.headers["Authorization"] = f"Bearer {API_KEY}"
        yield running
