import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from tests.reviews import THINGS
from tests.training.test_fit import options
from training.cooccurrence import WINDOW, meetings, positive_information, singular_vectors, write_embeddings
from training.corpus import Split
from training.errors import TrainingError
from training.fit import Fit

V = 700


def test_meetings_are_counted_within_a_review_and_by_distance(corpus: Path) -> None:
    split = Split(corpus, "train")
    expected = torch.zeros(V, V, dtype=torch.double)
    for review in range(len(split)):
        tokens = split.tokens_of(review).tolist()
        for place, token in enumerate(tokens):
            for distance, other in enumerate(tokens[place + 1 : place + 1 + WINDOW], start=1):
                expected[token, other] += 1 / distance
                expected[other, token] += 1 / distance
    torch.testing.assert_close(meetings(split, V).to_dense().double(), expected, rtol=1e-5, atol=1e-5)


def test_information_agrees_with_its_formula() -> None:
    counts = torch.tensor([[0.0, 4.0, 1.0], [4.0, 2.0, 0.0], [1.0, 0.0, 8.0]])
    found = positive_information(counts.to_sparse()).to_dense()
    smoothed = [total**0.75 for total in (5.0, 6.0, 9.0)]
    for word in range(3):
        for other in range(3):
            count, total = float(counts[word, other]), float(counts[word].sum())
            chance = smoothed[other] / sum(smoothed)
            expected = max(0.0, math.log(count / total / chance)) if count else 0.0
            assert float(found[word, other]) == pytest.approx(expected, abs=1e-6)


def test_the_vectors_are_the_best_of_their_rank() -> None:
    torch.manual_seed(1)
    factor = torch.randn(40, 6)
    matrix = factor @ torch.diag(torch.tensor([9.0, 7.0, 5.0, 3.0, 0.2, 0.1])) @ factor.T
    vectors = singular_vectors(matrix.to_sparse(), 4)
    left, singular, _ = torch.linalg.svd(matrix)
    expected = left[:, :4] * singular[:4].sqrt()
    torch.testing.assert_close(vectors @ vectors.T, expected @ expected.T, rtol=1e-3, atol=1e-2)


def test_what_is_written_is_what_training_reads(corpus: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "vectors.npz"
    write_embeddings(Split(corpus, "train"), tokenizer, 16, path)
    with np.load(path) as arrays:
        vectors = torch.from_numpy(arrays["vectors"])
    embedding = Fit(options(embeddings=path), corpus).network.embedding.detach()
    torch.testing.assert_close(embedding, vectors * 0.25 / vectors.square().mean().sqrt())


def test_words_of_a_kind_have_like_vectors(corpus: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    vectors = singular_vectors(positive_information(meetings(Split(corpus, "train"), V)), 16)
    directions = torch.nn.functional.normalize(vectors)
    spelt = [tokenizer.encode(f" {thing}").ids for thing in THINGS]
    whole = [ids[0] for ids in spelt if len(ids) == 1]
    assert len(whole) > 5
    for thing in whole:
        nearest = (directions @ directions[thing]).topk(3).indices.tolist()
        assert set(nearest) <= {ids[0] for ids in spelt}


def test_more_numbers_than_tokens_are_refused(corpus: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no more numbers"):
        write_embeddings(Split(corpus, "train"), tokenizer, V + 1, tmp_path / "vectors.npz")
