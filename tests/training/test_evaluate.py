import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.corpus import Split
from training.evaluate import (
    BATCH,
    Evaluation,
    Measurable,
    evaluate,
    measurable_reviews,
    measurable_split,
    network_scorer,
)
from training.network import Network, NetworkOptions
from training.reviews import Review
from training.vocabulary import END, UNKNOWN_RATING


@pytest.fixture(scope="module")
def network(tokenizer: Tokenizer) -> Network:
    torch.manual_seed(1)
    return Network(NetworkOptions(embedding=16, hidden=32, dropout=0.5), tokenizer.get_vocab_size())


@pytest.fixture
def measured(corpus: Path, tokenizer: Tokenizer) -> list[Measurable]:
    return list(measurable_split(Split(corpus, "valid"), tokenizer))


def uniform(vocabulary: int) -> Any:
    """A scorer to which every token is as probable as any other; what it says of padding must not count."""

    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        padded = torch.arange(1, tokens.shape[1]) >= lengths[:, None]
        return torch.full(padded.shape, -math.log(vocabulary)).masked_fill(padded, math.nan)

    return score


def test_a_uniform_model_measures_as_by_hand(tokenizer: Tokenizer) -> None:
    texts = ["I don't know.", "The soup was cold, 2 times!", "ok"]
    evaluation = evaluate(uniform(64), measurable_reviews([Review(text) for text in texts], tokenizer))
    tokens = sum(len(tokenizer.encode(text).ids) for text in texts)
    words = len(["I", "don't", "know", "."]) + len(["The", "soup", "was", "cold", ",", "2", "times", "!"]) + 1
    assert (evaluation.reviews, evaluation.words, evaluation.tokens) == (3, words, tokens)
    assert evaluation.characters == 13 + 27 + 2
    bits = 6 * (tokens + 3)  # log2(64) for each token and each end mark
    assert evaluation.bits_per_character == pytest.approx(bits / 42, rel=1e-6)
    assert evaluation.perplexity == pytest.approx(2 ** (bits / (words + 3)), rel=1e-6)
    assert evaluation.token_perplexity == pytest.approx(64, rel=1e-6)


def test_figures_are_rounded_for_people() -> None:
    evaluation = Evaluation(reviews=2, words=8, tokens=18, characters=100, log_probability=-20 * math.log(2))
    assert evaluation.as_dict() == {
        "bits_per_character": 0.2,
        "perplexity_per_word": 4.0,
        "perplexity_per_token": 2.0,
        "reviews": 2,
        "words": 8,
        "tokens": 18,
        "characters": 100,
    }


def test_a_network_is_scored_token_by_token(network: Network, measured: list[Measurable]) -> None:
    expected = 0.0
    with torch.no_grad():
        network.eval()
        for review in measured[:5]:
            state = network.initial_state(1)
            for token, following in zip(review.tokens[:-1], review.tokens[1:], strict=True):
                projected, state = network(torch.tensor([[token]]), state)
                expected += float(network.log_probabilities(projected)[0, 0, following])
    evaluation = evaluate(network_scorer(network), measured[:5])
    assert evaluation.log_probability == pytest.approx(expected, rel=1e-5)


def test_order_batches_and_padding_change_nothing(network: Network, measured: list[Measurable]) -> None:
    scorer = network_scorer(network)
    assert len(measured) > BATCH
    together = evaluate(scorer, measured)
    shuffled = evaluate(scorer, random.Random(1).sample(measured, len(measured)))
    alone = [evaluate(scorer, [review]) for review in measured]
    assert shuffled.log_probability == pytest.approx(together.log_probability, rel=1e-6)
    assert sum(one.log_probability for one in alone) == pytest.approx(together.log_probability, rel=1e-6)
    assert sum(one.words for one in alone) == together.words == shuffled.words


def test_measuring_takes_reviews_as_they_come(measured: list[Measurable]) -> None:
    def endless() -> Iterator[Measurable]:
        while True:
            yield measured[0]

    evaluation = evaluate(uniform(2), (review for review, _ in zip(endless(), range(10_000), strict=False)))
    assert evaluation.reviews == 10_000
    assert evaluation.tokens == 10_000 * (len(measured[0].tokens) - 2)


@pytest.mark.parametrize("rated", [True, False])
def test_a_split_measures_as_the_reviews_it_was_made_of(
    corpus: Path, records: list[dict[str, Any]], tokenizer: Tokenizer, rated: bool
) -> None:
    reviews = [Review(record["text"], record["stars"]) for record in records[200:270]]
    from_split = list(measurable_split(Split(corpus, "valid"), tokenizer, rated))
    from_reviews = list(measurable_reviews(reviews, tokenizer, rated))
    assert [one.tokens.tolist() for one in from_split] == [one.tokens.tolist() for one in from_reviews]
    assert [(one.words, one.characters) for one in from_split] == [(one.words, one.characters) for one in from_reviews]
    openings = [int(one.tokens[0]) for one in from_split]
    assert openings == [record["stars"] or UNKNOWN_RATING if rated else UNKNOWN_RATING for record in records[200:270]]
    assert all(int(one.tokens[-1]) == END for one in from_split)
