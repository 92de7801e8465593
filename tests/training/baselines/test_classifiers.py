import itertools
import math
from collections import Counter
from pathlib import Path

import pytest
import torch

from training.baselines.classifiers import (
    HIDDEN,
    Bags,
    RatingClassifier,
    Weighed,
    error,
    inverse_document_frequency,
    mean_weights,
    tf_idf,
    train_classifier,
)
from training.baselines.losses import ClassLoss, cross_entropy, multiclass_hinge, squared_error
from training.corpus import Split

V = 700


@pytest.fixture(scope="module")
def bags(corpus: Path) -> dict[str, Bags]:
    return {name: Bags.read(Split(corpus, name), V) for name in ("train", "valid", "test")}


def rated_reviews(corpus: Path) -> list[tuple[Counter[int], int]]:
    split = Split(corpus, "train")
    return [(Counter(split.tokens_of(r).tolist()), int(split.stars[r])) for r in range(len(split)) if split.stars[r]]


def test_bags_count_the_tokens_of_rated_reviews(corpus: Path, bags: dict[str, Bags]) -> None:
    expected, found = rated_reviews(corpus), bags["train"]
    assert len(found) == len(expected) < 200
    for number, (counts, stars) in enumerate(expected):
        own = slice(int(found.offsets[number]), int(found.offsets[number + 1]))
        assert dict(zip(found.tokens[own].tolist(), found.counts[own].tolist(), strict=True)) == counts
        assert int(found.targets[number]) == stars - 1


def test_tf_idf_agrees_with_its_formula(corpus: Path, bags: dict[str, Bags]) -> None:
    reviews, found = rated_reviews(corpus), bags["train"]
    having = Counter(token for counts, _ in reviews for token in counts)
    idf = inverse_document_frequency(found, V)
    assert float(idf[having.most_common(1)[0][0]]) < 1.2
    assert float(idf[0]) == pytest.approx(1 + math.log(1 + len(reviews)))  # in no review
    values = tf_idf(found, idf)
    for number, (counts, _) in enumerate(reviews[:20]):
        own = slice(int(found.offsets[number]), int(found.offsets[number + 1]))
        plain = {
            token: count * (1 + math.log((1 + len(reviews)) / (1 + having[token]))) for token, count in counts.items()
        }
        length = math.hypot(*plain.values())
        expected = [plain[token] / length for token in found.tokens[own].tolist()]
        assert values[own].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("embedding", [None, 8])
def test_scores_agree_with_the_formula(bags: dict[str, Bags], embedding: int | None) -> None:
    train = bags["train"]
    data = Weighed(train, mean_weights(train) if embedding else tf_idf(train, inverse_document_frequency(train, V)))
    model = RatingClassifier(V, embedding, torch.Generator().manual_seed(1))
    order = torch.tensor([7, 2, 11])
    ((given, targets),) = data.batches(order)
    assert targets.tolist() == train.targets[order].tolist()
    for scores, review in zip(model(*given), order.tolist(), strict=True):
        own = slice(int(train.offsets[review]), int(train.offsets[review + 1]))
        x = torch.zeros(V)
        x[train.tokens[own]] = train.counts[own] / train.counts[own].sum() if embedding else data.weights[own]
        hidden = x @ model.first.weight
        if embedding:
            layer = model.rest[0]
            assert isinstance(layer, torch.nn.Linear)
            hidden = layer(hidden)
        assert len(hidden) == HIDDEN
        last = model.rest[-1]
        assert isinstance(last, torch.nn.Linear)
        torch.testing.assert_close(scores, last(hidden.clamp_min(0)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("loss", [cross_entropy, multiclass_hinge, squared_error])
def test_ratings_are_learnt(bags: dict[str, Bags], loss: ClassLoss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.baselines.classifiers.PATIENCE", 50)  # a pass has two updates here, not hundreds
    idf = inverse_document_frequency(bags["train"], V)
    data = {name: Weighed(each, tf_idf(each, idf)) for name, each in bags.items()}
    model = RatingClassifier(V, None, torch.Generator().manual_seed(1))
    assert error(model, data["valid"]) > 0.65
    trained = train_classifier(model, loss, data["train"], data["valid"], 1e9)
    assert error(trained.model, data["train"]) < 0.4
    assert error(trained.model, data["valid"]) < 0.6  # 0.8 are wrong by chance
    assert trained.passes > 50


def test_training_ends_with_its_time_and_keeps_the_best(bags: dict[str, Bags]) -> None:
    data = {name: Weighed(each, mean_weights(each)) for name, each in bags.items()}
    model = RatingClassifier(V, 8, torch.Generator().manual_seed(1))
    first = model.first.weight.detach().clone()
    trained = train_classifier(model, cross_entropy, data["train"], data["valid"], 6, clock=itertools.count().__next__)
    assert trained.passes == 2  # the clock is asked once before a pass and after each of its two updates
    assert not torch.equal(first, trained.model.first.weight)
    assert error(trained.model, data["valid"]) <= error(model, data["valid"])
