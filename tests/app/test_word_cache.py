"""app/word_cache.py"""

import pytest
import torch
from torch import Tensor

from app.language_model import LanguageModel
from app.ranking import Ranked, TokenSet
from app.row_calls import SORTED
from app.word_cache import Following, Place, WordCache

STATE = torch.arange(3.0)
SOUP = Place(4, "The soup", (7,))


@pytest.fixture
def row(model: LanguageModel) -> Tensor:
    return torch.rand(model.vocabulary.size, generator=torch.Generator().manual_seed(1)).log()


def test_what_follows_is_found_in_its_place_alone(model: LanguageModel, row: Tensor) -> None:
    cache = WordCache(1 << 20, model.calls)
    cache.keep(SOUP, Following(row, STATE))
    found = cache.find(SOUP, None)
    assert found is not None
    assert torch.equal(found.log_probabilities, row)
    assert torch.equal(found.state, STATE)
    assert found.ranked is None
    for place in (Place(3, "The soup", (7,)), Place(4, "the soup", (7,)), Place(4, "The soup", (7, 7)), Place(4, "")):
        assert cache.find(place, None) is None


def test_the_best_of_a_set_are_those_of_the_row(model: LanguageModel, row: Tensor) -> None:
    cache = WordCache(1 << 20, model.calls)
    cache.keep(SOUP, Following(row, STATE))
    for offset in (0, 1):  # of two sets, which are not mistaken for each other
        members = (torch.arange(len(row)) % 2 == offset).float()
        expected = torch.topk(torch.where(members > 0, row, -torch.inf), SORTED)
        allowed = TokenSet(members)
        for _ in range(2):
            found = cache.find(SOUP, allowed)
            assert found is not None
            assert found.ranked == Ranked(expected.values.tolist(), expected.indices.tolist())


def test_the_beginning_of_a_word_tells_the_tokens_of_its_text_and_counts(model: LanguageModel, row: Tensor) -> None:
    cache, place = WordCache(1 << 20, model.calls), Place(4, "The soup")
    assert cache.begin(place, None) is None
    cache.keep(place, Following(row, STATE), context_tokens=3)
    found = cache.begin(place, None)
    assert found is not None
    assert found[1] == 3
    assert cache.find(SOUP, None) is None
    assert cache.hits == 1


def test_a_row_of_a_batch_does_not_hold_the_others(model: LanguageModel, row: Tensor) -> None:
    cache = WordCache(1 << 20, model.calls)
    batch = torch.stack([row, -row])
    cache.keep(SOUP, Following(batch[0], STATE))
    found = cache.find(SOUP, None)
    assert found is not None
    assert found.log_probabilities.untyped_storage().nbytes() == 4 * len(row)
    assert cache.bytes == 4 * (len(row) + len(STATE) + len(SOUP.text))


def test_without_room_nothing_is_kept(model: LanguageModel, row: Tensor) -> None:
    cache = WordCache(0, model.calls)
    cache.keep(SOUP, Following(row, STATE))
    assert cache.find(SOUP, None) is None
    assert cache.bytes == 0
