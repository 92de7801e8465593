import pytest
import torch
from tokenizers import Tokenizer

from tests.training.test_embeddings import token
from training.baselines.word_vectors import (
    REVIEW_ANALOGIES,
    Analogies,
    WordVectors,
    ask_analogies,
    vectors_of_words,
)
from training.errors import TrainingError

WORDS = {
    "waiter": [1.0, 0.0, 0.1],
    "waitress": [1.0, 1.0, 0.1],
    "boy": [0.0, 0.0, 1.0],
    "girl": [0.0, 1.0, 1.0],
    "Soup": [-1.0, 0.2, 0.0],
    "stew": [-9.0, 2.2, 0.0],
}


@pytest.fixture
def vectors() -> WordVectors:
    return WordVectors(list(WORDS), torch.tensor(list(WORDS.values())))


def test_neighbours_are_the_words_of_the_smallest_angle(vectors: WordVectors) -> None:
    assert vectors.nearest("soup", 1) == ["stew"]  # nine times as long, and in the same direction
    assert vectors.nearest("waiter", 2) == ["waitress", "boy"]
    assert vectors.nearest("STEW", 9)[0] == "Soup"
    assert set(vectors.nearest("waiter", 9)) == set(WORDS) - {"waiter"}


def test_the_offset_of_a_pair_leads_from_another_word_to_its_fellow(vectors: WordVectors) -> None:
    assert vectors.analogy("waiter", "waitress", "boy") == "girl"
    assert vectors.analogy("girl", "boy", "Waitress") == "waiter"
    kinds = {"person": [("waiter", "waitress"), ("boy", "girl"), ("king", "queen")], "food": [("soup", "stew")]}
    assert ask_analogies(vectors, kinds) == [Analogies("person", 2, 2), Analogies("food", 0, 0)]
    wrong = {"person": [("waiter", "boy"), ("waitress", "Soup")]}
    assert ask_analogies(vectors, wrong) == [Analogies("person", 2, 0)]


def test_the_plane_keeps_the_directions_in_which_words_differ_most(vectors: WordVectors) -> None:
    places = vectors.plane(["waiter", "girl", "stew", "boy"])
    directions = torch.nn.functional.normalize(torch.tensor([WORDS[w] for w in ("waiter", "girl", "stew", "boy")]))
    centred = directions - directions.mean(dim=0)
    values = torch.linalg.eigvalsh(centred.T @ centred).flip(0)
    torch.testing.assert_close(places.T @ places, torch.diag(values[:2]), atol=1e-5, rtol=1e-5)


def test_a_word_without_a_vector_is_named(vectors: WordVectors) -> None:
    assert "queen" not in vectors
    with pytest.raises(TrainingError, match="queen"):
        vectors.nearest("queen", 1)


def test_whole_words_are_taken_in_their_more_frequent_case(tokenizer: Tokenizer) -> None:
    names = ["Ġgreat</w>", "ĠThe</w>", "Ġthe</w>", "The</w>", "!</w>", "Ġsoup</w>"]
    tokens = [token(tokenizer, name) for name in names]
    counts = torch.zeros(tokenizer.get_vocab_size(), dtype=torch.int64)
    counts[tokens] = torch.tensor([7, 5, 3, 99, 99, 1])
    table = torch.randn(len(counts), 4, generator=torch.Generator().manual_seed(1))
    found = vectors_of_words(tokenizer, table, counts, at_least=2)
    assert found.words == ["great", "The"]
    torch.testing.assert_close(found.directions, torch.nn.functional.normalize(table[tokens[:2]]))
    assert "soup" in vectors_of_words(tokenizer, table, counts)


def test_the_questions_on_reviews_are_pairs_of_different_words() -> None:
    assert sum(len(pairs) * (len(pairs) - 1) for pairs in REVIEW_ANALOGIES.values()) > 500
    for pairs in REVIEW_ANALOGIES.values():
        assert len({a for a, _ in pairs}) == len(pairs)
        assert all(a != b for a, b in pairs)
