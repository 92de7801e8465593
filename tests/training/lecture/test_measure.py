import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from tests.training.toys import Chain
from training.language_model import step_scorer
from training.lecture import measure
from training.lecture.measure import SAMPLE_TOKENS, Watched
from training.lecture.part import Described, Ground, Trained
from training.vocabulary import END, UNKNOWN_RATING


class Uniform(Chain):
    """Every token but openings is as probable as any other, whatever came before."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer, {}, {})
        self.table[:, END:] = -math.log(tokenizer.get_vocab_size() - END)


@pytest.fixture
def ground(corpus: Path, tmp_path: Path) -> Ground:
    return Ground(corpus, Path("model"), tmp_path)


def test_a_uniform_model_has_the_perplexity_of_its_choices(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "NEXT_WORD_REVIEWS", 1)
    asked: list[Tensor] = []
    model = Uniform(ground.tokenizer)
    scorer = step_scorer(model)

    def watched(tokens: Tensor, lengths: Tensor) -> Tensor:
        asked.append(tokens[:, 0])
        return scorer(tokens, lengths)

    described = Described(name="uniform", formula="p = 1 / V", source="chance", module="tests/training/toys.py")
    row = measure.measure(ground, described, Trained(model, watched, 1, 2.0, 3))
    choices = ground.vocabulary_size - END
    assert row.perplexity_per_token == pytest.approx(choices, rel=1e-4)
    tokens = len(ground.split("test").tokens) + len(ground.split("test"))
    characters = sum(
        len(ground.tokenizer.decode(ids.tolist())) for ids in map(ground.split("test").tokens_of, range(30))
    )
    assert row.bits_per_character == pytest.approx(tokens * math.log2(choices) / characters, rel=1e-4)
    assert row.top_3 < 0.2  # none of hundreds of words, all equally probable, is the first
    assert (row.name, row.parameters, row.seconds, row.tokens) == ("uniform", 1, 2.0, 3)
    assert torch.cat(asked).eq(UNKNOWN_RATING).all()  # nobody is told a rating
    assert len(ground.tokenizer.encode(row.sample).ids) < 2 * SAMPLE_TOKENS


def test_impossible_tokens_are_counted_but_not_in_padding() -> None:
    scores = torch.tensor([[0.0, -torch.inf, -torch.inf], [-torch.inf, 0, 0]])
    watched = Watched(lambda tokens, lengths: scores)
    watched(torch.zeros(2, 4), torch.tensor([3, 4]))
    assert watched.impossible == 2


def test_the_first_words_are_whole_reviews(ground: Ground) -> None:
    split, part = ground.training(), ground.training(words=1000)
    assert 1 < len(part) < len(split)
    assert len(part.tokens) == part.offsets[-1] <= 1000 * len(split.tokens) / ground.words < part_and_next(ground, part)
    assert [part.tokens_of(n).tolist() for n in range(len(part))] == [
        split.tokens_of(n).tolist() for n in range(len(part))
    ]
    assert len(ground.training(words=1)) == 1


def part_and_next(ground: Ground, part: object) -> int:
    """Tokens of a part of the training reviews and the review after it."""
    assert hasattr(part, "stars")
    return int(ground.training().offsets[len(part.stars) + 1])
