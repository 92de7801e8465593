import itertools
from pathlib import Path

import pytest
import torch

from training.baselines.ranking import (
    AROUND,
    RankingModel,
    corrupting_words,
    ranking_accuracy,
    train_ranking,
    windows,
)
from training.corpus import Split
from training.vocabulary import END, UNKNOWN_RATING

V = 700


def test_windows_hold_the_text_round_each_token_and_marks_outside_it(corpus: Path) -> None:
    split = Split(corpus, "train")
    found = windows(split, 3, 5)
    expected = []
    for review in range(3, 8):
        marks = [UNKNOWN_RATING] * AROUND
        text = [*marks, *split.tokens_of(review).tolist(), *marks]
        expected += [text[start : start + 2 * AROUND + 1] for start in range(len(text) - 2 * AROUND)]
    assert found.tolist() == expected


def test_scores_agree_with_the_formula() -> None:
    torch.manual_seed(1)
    model = RankingModel(20, 4)
    real, other = torch.randint(20, (6, 2 * AROUND + 1)), torch.randint(20, (6,))
    corrupted = real.clone()
    corrupted[:, AROUND] = other
    weights = [*model.around.weight.split(4, dim=1)]  # H_i of each place
    weights.insert(AROUND, model.middle.weight)

    def f(window: torch.Tensor) -> torch.Tensor:
        hidden = model.around.bias
        for place, token in enumerate(window):
            hidden = hidden + weights[place] @ model.embedding.weight[token]
        return model.score.weight[0] @ hidden.clamp(-1, 1)

    true, false = model(real, other)
    torch.testing.assert_close(true, torch.stack([f(window) for window in real]))
    torch.testing.assert_close(false, torch.stack([f(window) for window in corrupted]))


def test_corrupted_middles_are_other_middles_or_any_word() -> None:
    real = torch.arange(7000).reshape(-1, 7) % V
    generator = torch.Generator().manual_seed(1)
    own = corrupting_words(real, V, 0.0, generator)
    assert sorted(own.tolist()) == sorted(real[:, AROUND].tolist())
    assert not torch.equal(own, real[:, AROUND])
    drawn = corrupting_words(torch.full((50_000, 7), 9), V, 0.5, generator)
    assert float((drawn == 9).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert drawn.min() == END + 1
    assert drawn.max() == V - 1
    assert len(drawn.unique()) == V - END - 1


class Favourites(RankingModel):
    """Scores a window by the number of its middle token alone."""

    def forward(self, windows: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return windows[:, AROUND].double(), others.double()


def test_accuracy_is_the_share_of_true_windows_above() -> None:
    real = torch.zeros(1000, 7, dtype=torch.int64)
    real[:, AROUND] = 50
    others = torch.full([1000], 60)
    others[:300] = 40
    assert ranking_accuracy(Favourites(2, 2), real, others) == 0.3
    others[300:800] = 50  # the true word itself: nothing to tell
    assert ranking_accuracy(Favourites(2, 2), real, others) == 0.6


def test_it_learns_to_tell_text_from_corrupted_text(corpus: Path) -> None:
    real = windows(Split(corpus, "valid"), 0, 70)
    others = corrupting_words(real, V, 0.0, torch.Generator().manual_seed(2))
    accuracies = []
    for updates in (1, 250):
        clock = itertools.count().__next__
        trained = train_ranking(Split(corpus, "train"), V, 16, updates, clock=clock)
        accuracies.append(ranking_accuracy(trained.model, real, others))
        assert trained.windows <= updates * 512
    assert accuracies[0] < 0.65
    assert accuracies[1] > 0.9
