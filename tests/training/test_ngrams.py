from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.corpus import Split
from training.ngrams import NgramTables, frequent_ngrams, rows_of
from training.vocabulary import END

V = 700


def counted(split: Split, n: int) -> Counter[int]:
    """Counts keys the slow way: a review's tokens after two zeros."""
    counts: Counter[int] = Counter()
    for review in range(len(split)):
        tokens = [0, 0, *split.tokens_of(review).tolist()]
        for end in range(3, len(tokens) + 1):
            key = 0
            for token in tokens[end - n : end]:
                key = key * V + token
            counts[key] += 1
    return counts


@pytest.mark.parametrize(("index", "n"), [(0, 2), (1, 3)])
def test_the_most_frequent_are_found(corpus: Path, index: int, n: int) -> None:
    split = Split(corpus, "train")
    expected = counted(split, n)
    found = frequent_ngrams(split, V, rows=50)[index].tolist()
    assert found == sorted(found)
    assert len(set(found)) == 50
    assert sorted(expected[key] for key in found) == sorted(expected.values())[-50:]


def test_a_corpus_with_few_ngrams_has_no_more(corpus: Path) -> None:
    split = Split(corpus, "train")
    pairs, triples = frequent_ngrams(split, V, rows=1_000_000)
    assert pairs.tolist() == sorted(counted(split, 2))
    assert triples.tolist() == sorted(counted(split, 3))


def test_rows_count_from_one_and_the_unknown_is_zero() -> None:
    keys = torch.tensor([3, 8, 20, torch.iinfo(torch.int64).max])
    assert rows_of(keys, torch.tensor([[3, 20], [4, 8]])).tolist() == [[1, 3], [0, 2]]
    assert rows_of(keys, torch.tensor([0, 21])).tolist() == [0, 0]


@pytest.fixture
def tables() -> NgramTables:
    """Rows for the pairs (0, 7), (7, 8), (8, 9) and the triples (0, 0, 7), (7, 8, 9)."""
    tables = NgramTables(rows=3, size=2, vocabulary_size=V)
    tables.fill([torch.tensor([7, 7 * V + 8, 8 * V + 9]), torch.tensor([7, 7 * V * V + 8 * V + 9])])
    return tables


def rows_used(tables: NgramTables, features: Tensor) -> list[tuple[int, ...]]:
    """Which row of either table each of the features `[T, F]` is."""
    pairs, triples = tables.tables
    return [
        tuple(int((table == part).all(dim=1).nonzero()[0]) for table, part in ((pairs, row[:2]), (triples, row[2:])))
        for row in features
    ]


def test_each_token_finds_its_pair_and_its_triple(tables: NgramTables) -> None:
    tokens = torch.tensor([[5], [7], [8], [9], [END], [2], [7], [9]])
    features, state = tables(tokens, torch.zeros(1, 2))
    nothing = (0, 0)
    assert rows_used(tables, features[:, 0]) == [nothing, (1, 1), (2, 0), (3, 2), nothing, nothing, (1, 1), nothing]
    assert state.tolist() == [[7.0, 9.0]]


@pytest.mark.parametrize("cut", range(1, 8))
def test_the_state_carries_the_tokens_before(tables: NgramTables, cut: int) -> None:
    tokens = torch.tensor([[5, 7], [7, 8], [8, 9], [9, 3], [END, 7], [2, 8], [7, 9], [9, 9]])
    whole, last = tables(tokens, torch.zeros(2, 2))
    first, between = tables(tokens[:cut], torch.zeros(2, 2))
    second, after = tables(tokens[cut:], between)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(after, last)


def test_what_is_not_frequent_is_nought_and_stays_so(tables: NgramTables) -> None:
    features, _ = tables(torch.tensor([[100], [101]]), torch.zeros(1, 2))
    assert not features.any()
    features.sum().backward()
    for table in tables.tables:
        assert table.grad is not None
        assert not table.grad.to_dense()[0].any()
