"""That what the peers serve is what the service answers, whatever a batch holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.calls import STEPS
from app.generation import GenerationSettings, generate
from app.language_model import LanguageModel, load_language_model
from app.next_word import next_words
from app.sampling import SamplingSettings
from app.schemas import GenerateRequest, NextWordRequest, ScoreRequest
from app.spelling import Spelling
from benchmarks.peers.shared import SharedModel
from tests.app.random_artifact import write_random_artifact
from tests.app.support import run_alone, score_all

TEXTS = ["", "The food", "The food was great and ", "We loved the café, the crème brûlée and the ice-cream! " * 12]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("artifact")
    write_random_artifact(directory)
    return directory


@pytest.fixture(scope="module")
def model(artifact: Path) -> LanguageModel:
    return load_language_model(artifact)


@pytest.fixture
def shared(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> SharedModel:
    monkeypatch.setenv("REVIEW_LM_MODEL_DIRECTORY", str(artifact))
    return SharedModel()


def test_words_are_those_of_the_service(shared: SharedModel, model: LanguageModel) -> None:
    requests = [NextWordRequest(text=text, k=4, prefix=prefix) for text in TEXTS for prefix in ("", "t")]
    answers = shared.next_words(requests)
    spelling = Spelling(model.vocabulary)
    for request, answer in zip(requests, answers, strict=True):
        found = run_alone(model, next_words(model, spelling, request.text, request.prefix, 4, None, punctuation=False))
        assert [each.word for each in answer.suggestions] == [each.word for each in found.words]
        assert [each.probability for each in answer.suggestions] == pytest.approx(
            [each.probability for each in found.words], rel=1e-5
        )
        assert answer.usage.context_tokens == found.context_tokens
        assert answer.usage.cached_tokens == 0
    assert any(answer.suggestions for answer in answers)


def test_seeded_texts_are_those_of_the_service(shared: SharedModel, model: LanguageModel) -> None:
    requests = [GenerateRequest(prompt=text, seed=seed, max_tokens=5 + 9 * seed) for seed, text in enumerate(TEXTS)]
    for request, answer in zip(requests, shared.generate(requests), strict=True):
        settings = GenerationSettings(1, request.max_tokens, SamplingSettings(), (), request.seed or 0)
        written = run_alone(model, generate(model, request.prompt, None, settings))
        (review,) = answer.reviews
        assert (review.text, review.finish_reason) == (written.reviews[0].text, written.reviews[0].finish_reason)
        assert answer.usage.generated_tokens == written.generated_tokens
        assert answer.usage.prompt_tokens == written.prompt_tokens


def test_a_stream_tells_the_same_text_piece_by_piece(shared: SharedModel) -> None:
    requests = [GenerateRequest(prompt=text, seed=seed, max_tokens=5 + 9 * seed) for seed, text in enumerate(TEXTS)]
    told, written = [*shared.stream(requests)], shared.generate(requests)
    for place, whole in enumerate(written):
        events = _events("".join(turn[place] for turn in told))
        assert events.pop() == "[DONE]"
        summary = events.pop()
        assert "".join(event["text"] for event in events) == whole.reviews[0].text
        assert events[-1]["finish_reason"] == whole.reviews[0].finish_reason
        assert summary == {"seed": place, "model": whole.model, "usage": whole.usage.model_dump()}
    longest = max(each.usage.generated_tokens for each in written)
    assert longest > STEPS
    assert len(told) > longest / STEPS


def _events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_scores_are_those_of_the_service(shared: SharedModel, model: LanguageModel) -> None:
    texts = [text for text in TEXTS if text]
    answers = shared.score([ScoreRequest(texts=texts), ScoreRequest(texts=texts[:1], stars=2)])
    for answer, stars in zip(answers, (None, 2), strict=True):
        scored = run_alone(model, score_all(model, texts[: len(answer.scores)], stars, ranks=False))
        assert [each.log_probability for each in answer.scores] == pytest.approx(
            [each.log_probability for each in scored], abs=1e-3
        )
        assert [each.words for each in answer.scores] == [each.words for each in scored]
