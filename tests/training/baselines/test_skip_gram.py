import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from tests.reviews import BAD, GOOD
from training.baselines.skip_gram import (
    NEGATIVES,
    THRESHOLD,
    WINDOW,
    HierarchicalSoftmax,
    NegativeSampling,
    Output,
    SkipGram,
    kept,
    skip_pairs,
    train_skip_gram,
    word_counts,
)
from training.baselines.word_vectors import vectors_of_words
from training.corpus import Split

COUNTS = torch.tensor([0, 16, 1, 81, 3, 40])


def model_of(output: Output) -> SkipGram:
    """A model whose other side is no longer zero."""
    generator = torch.Generator().manual_seed(5)
    model = SkipGram.create(len(COUNTS), 4, output, generator)
    model.others.copy_(torch.randn(model.others.shape, generator=generator))
    model.vectors.mul_(8)
    return model


def test_the_tree_gives_every_word_a_probability() -> None:
    model = model_of(HierarchicalSoftmax(COUNTS))
    for word in range(len(COUNTS)):
        words = torch.full([len(COUNTS)], word)
        probabilities = (-model.losses(words, torch.arange(len(COUNTS)))).exp()
        assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
        assert probabilities.unique().numel() > 2


def test_negatives_are_drawn_by_the_power_three_quarters_of_their_counts() -> None:
    contexts = torch.full([20_000], 2)
    rows, signs = NegativeSampling(COUNTS).asked(contexts)
    assert rows.shape == signs.shape == (20_000, 1 + NEGATIVES)
    assert (rows[:, 0] == 2).all()
    assert (signs[:, 0] == 1).all()
    drawn = torch.bincount(rows[:, 1:].flatten(), minlength=6) / (20_000 * NEGATIVES)
    weights = torch.tensor([0, 8, 1, 27, 3**0.75, 40**0.75])
    torch.testing.assert_close(drawn, weights / weights.sum(), atol=0.01, rtol=0)
    assert (signs[:, 1:][rows[:, 1:] != 2] == -1).all()
    assert (signs[:, 1:][rows[:, 1:] == 2] == 0).all()  # no word is both near and not


def by_the_formula(
    model: SkipGram, vectors: Tensor, others: Tensor, words: Tensor, asked: tuple[Tensor, ...]
) -> Tensor:
    """Minus the log-likelihood of all pairs, term by term."""
    total = torch.zeros(())
    for word, rows, signs in zip(words, *asked, strict=True):
        for row, sign in zip(rows, signs, strict=True):
            if sign:
                total = total - torch.sigmoid(sign * (vectors[word] @ others[row])).log()
    return total


@pytest.mark.parametrize("kind", [NegativeSampling, HierarchicalSoftmax])
def test_an_update_goes_down_the_gradient_of_the_formula(kind: type[NegativeSampling | HierarchicalSoftmax]) -> None:
    words, contexts = torch.tensor([1, 3, 1, 5]), torch.tensor([3, 1, 3, 2])  # a word and a pair come twice
    model = model_of(kind(COUNTS))
    vectors, others = model.vectors.clone().requires_grad_(), model.others.clone().requires_grad_()
    asked = kind(COUNTS).asked(contexts)  # the same draws as those of the update
    loss = by_the_formula(model, vectors, others, words, asked)
    loss.backward()
    assert vectors.grad is not None
    assert others.grad is not None
    assert model.update(words, contexts, rate=0.3) == pytest.approx(float(loss.detach()) / 4, rel=1e-5)
    torch.testing.assert_close(model.vectors, vectors.detach() - 0.3 * vectors.grad)
    torch.testing.assert_close(model.others, others.detach() - 0.3 * others.grad)


def test_frequent_words_are_thinned_out() -> None:
    counts = torch.tensor([10_000, 100 * 10_000, 9_000_000 - 10, 10])
    total = 10_010_000
    found = kept(counts)
    assert found[0] == pytest.approx((THRESHOLD / (10_000 / total)) ** 0.5)  # ten times the threshold: one in three
    assert found[0] / found[1] == pytest.approx(10)
    assert found[3] == 1


def test_pairs_are_words_within_reach_of_one_another_in_the_same_review() -> None:
    tokens, reviews = np.arange(100, 140), np.repeat([0, 1, 2], [20, 3, 17])
    reach = np.random.default_rng(4).integers(1, WINDOW + 1, len(tokens))
    expected = Counter(
        (tokens[word], tokens[context])
        for word, context in itertools.permutations(range(len(tokens)), 2)
        if abs(word - context) <= reach[word] and reviews[word] == reviews[context]
    )
    found = skip_pairs(tokens, reviews, np.random.default_rng(4))
    assert Counter(zip(*found.tolist(), strict=True)) == expected


@pytest.mark.parametrize("kind", [NegativeSampling, HierarchicalSoftmax])
def test_words_of_like_reviews_become_neighbours(
    corpus: Path, tokenizer: Tokenizer, kind: type[NegativeSampling | HierarchicalSoftmax]
) -> None:
    split = Split(corpus, "train")
    counts = word_counts(split, tokenizer.get_vocab_size())
    assert counts.tolist() == np.bincount(np.fromfile(corpus / "train.tokens", np.uint16), minlength=700).tolist()
    clock = itertools.count().__next__
    trained = train_skip_gram(split, counts, 16, kind(counts), 300, clock=clock)
    assert trained.pairs > 100_000
    vectors = vectors_of_words(tokenizer, trained.model.vectors, counts, at_least=20)
    moods = {mood: name for name, words in (("good", GOOD), ("bad", BAD)) for mood in words if mood in vectors}
    assert len(moods) > 10
    near = [(moods[mood], moods.get(word)) for mood in moods for word in vectors.nearest(mood, 5)]
    alike, unlike = sum(a == b for a, b in near), sum(b is not None and a != b for a, b in near)
    assert alike > 2 * len(moods)
    assert unlike < alike / 10


def test_the_same_seed_gives_the_same_vectors(corpus: Path) -> None:
    split = Split(corpus, "train")
    counts = word_counts(split, 700)

    def vectors(seed: int) -> Tensor:
        clock = itertools.count().__next__
        return train_skip_gram(split, counts, 8, NegativeSampling(counts, seed), 20, seed, clock).model.vectors

    assert torch.equal(vectors(1), vectors(1))
    assert not torch.equal(vectors(1), vectors(2))
