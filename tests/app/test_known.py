import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from app.known import TABLES, Known
from app.language_model import LanguageModel
from app.sampling import HIGHEST_SHARE, SamplingRow, SamplingSettings, choose

DRAWS = 1500


@pytest.fixture(scope="module")
def opened(model: LanguageModel) -> Tensor:
    """The log-probabilities `[1, V]` after an opening."""
    return model.step(torch.tensor([model.vocabulary.opening(4)]), model.initial_state(1))[0]


def chosen_at_once(scores: Tensor, rows: Sequence[SamplingRow]) -> tuple[list[int], list[float]]:
    chosen = choose(scores.expand(len(rows), -1).contiguous(), rows)
    return chosen.tokens, chosen.log_probabilities


@pytest.mark.parametrize(
    "settings",
    [
        SamplingSettings(),
        SamplingSettings(temperature=1.3, top_p=1.0),
        SamplingSettings(temperature=0.3, top_p=0.9),
        SamplingSettings(top_p=0.5),  # many fail, and some are sorted in the end
        SamplingSettings(top_p=1.0, min_p=0.1),
        SamplingSettings(temperature=0.0),
        SamplingSettings(top_k=5),
    ],
    ids=str,
)
def test_draws_are_those_of_a_batch_to_the_bit(opened: Tensor, settings: SamplingSettings) -> None:
    numbers = random.Random(1)
    rows = [SamplingRow(settings, number) for number in (0.0, HIGHEST_SHARE, *(numbers.random() for _ in range(DRAWS)))]
    expected = chosen_at_once(opened, rows)
    known = Known(opened[0])
    alone = [known.choose([row]) for row in rows]
    assert ([each.tokens[0] for each in alone], [each.log_probabilities[0] for each in alone]) == expected
    assert len(set(expected[0])) > 1 or settings.temperature == 0.0


@pytest.mark.parametrize("size", [1, 5, 64, 130])
def test_so_are_draws_from_few_tokens(size: int) -> None:
    scores = torch.log_softmax(torch.linspace(0.0, 3.0, size), dim=0)
    rows = [SamplingRow(SamplingSettings(), (place + 0.5) / 300) for place in range(300)]
    chosen = Known(scores).choose(rows)
    assert (chosen.tokens, chosen.log_probabilities) == chosen_at_once(scores[None], rows)
    assert len(set(chosen.tokens)) >= min(size, 3)


def test_settings_are_told_apart_however_many_there_are(opened: Tensor) -> None:
    known = Known(opened[0])
    temperatures = [0.5 + place / 10 for place in range(2 * TABLES)]
    rows = [SamplingRow(SamplingSettings(temperature), 0.7) for temperature in temperatures * 2]
    chosen = known.choose(rows)
    assert (chosen.tokens, chosen.log_probabilities) == chosen_at_once(opened, rows)
    assert len(set(chosen.tokens)) > 1


def test_what_else_is_asked_for_is_told(opened: Tensor) -> None:
    rows = [SamplingRow(SamplingSettings(), 0.5, top=3), SamplingRow(SamplingSettings(), 0.9)]
    chosen = Known(opened[0]).choose(rows)
    assert chosen == choose(opened.expand(2, -1), rows)
    assert len(chosen.top[0]) == 3
