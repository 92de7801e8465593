import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from benchmarks.quality.transformer import Block, Transformer, TransformerShape, transformer_scorer
from training.corpus import Split, corpus_vocabulary
from training.evaluate import evaluate, measurable_split
from training.network import Network, NetworkOptions
from training.vocabulary import END, OPENINGS

SHAPE = TransformerShape(width=8, layers=2, heads=2, feed_forward=12, context=6)
VOCABULARY = 30


@pytest.fixture
def network() -> Transformer:
    torch.manual_seed(1)
    network = Transformer(SHAPE, VOCABULARY)
    for parameter in network.parameters():  # away from the start, where attention hardly matters
        parameter.data += 0.5 * torch.randn_like(parameter)
    return network


def reviews(*lengths: int) -> tuple[Tensor, Tensor]:
    """Random reviews of so many tokens, opening and end mark among them, padded, and their lengths."""
    tokens = torch.randint(
        END + 1, VOCABULARY, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(2)
    )
    tokens[:, 0] = 4
    for row, length in zip(tokens, lengths, strict=True):
        row[length - 1 :] = END
    return tokens, torch.tensor(lengths)


@torch.no_grad()
def test_a_token_after_kept_keys_and_values_is_as_likely_as_after_all_tokens(network: Transformer) -> None:
    tokens, past = reviews(6, 6)[0], None
    for begin, end in ((0, 2), (2, 3), (3, 4), (4, 5), (5, 6)):  # the first two together
        found, past = network.next_token(tokens[:, begin:end], past)
        logits = functional.linear(network(tokens[:, :end])[:, -1], network.embedding, network.output_bias)
        torch.testing.assert_close(found, functional.log_softmax(logits, dim=1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_block_computes_its_formula(network: Transformer) -> None:
    block = network.blocks[0]
    assert isinstance(block, Block)
    x = torch.randn(5, 8)
    normed = functional.layer_norm(x, (8,), block.attention_norm.weight, block.attention_norm.bias)
    query, key, value = (normed @ block.query_key_value.weight.T + block.query_key_value.bias).split(8, dim=1)
    mixed = torch.zeros(5, 8)
    for t in range(5):
        for head in (slice(0, 4), slice(4, 8)):
            scores = [math.exp(query[t, head] @ key[s, head] / math.sqrt(4)) for s in range(t + 1)]
            for s, score in enumerate(scores):
                mixed[t, head] += score / sum(scores) * value[s, head]
    x1 = x + mixed @ block.attended.weight.T + block.attended.bias
    normed = functional.layer_norm(x1, (8,), block.feed_norm.weight, block.feed_norm.bias)
    wide = normed @ block.widen.weight.T + block.widen.bias
    activated = wide * 0.5 * (1 + torch.erf(wide / math.sqrt(2)))
    expected = x1 + activated @ block.narrow.weight.T + block.narrow.bias
    torch.testing.assert_close(block(x[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_positions_matter(network: Transformer) -> None:
    same = network(torch.tensor([[9, 9, 9]]))[0]
    assert (same[0] - same[2]).abs().max() > 0.01


@pytest.mark.parametrize("changed", [1, 3, 5])
def test_a_later_token_changes_nothing_before_it(network: Transformer, changed: int) -> None:
    score = transformer_scorer(network)
    tokens, lengths = reviews(7)
    other = tokens.clone()
    other[0, changed] = END + 1 if tokens[0, changed] != END + 1 else END + 2
    before, after = score(tokens, lengths)[0], score(other, lengths)[0]
    torch.testing.assert_close(before[: changed - 1], after[: changed - 1], rtol=0, atol=1e-6)
    assert ((before - after)[changed - 1 :].abs() > 1e-4).all()


def test_probabilities_sum_to_one_over_what_can_follow(network: Transformer) -> None:
    score = transformer_scorer(network)
    following = torch.stack([torch.tensor([4, 9, 12, token]) for token in range(VOCABULARY)])
    probabilities = score(following, torch.full((VOCABULARY,), 4))[:, -1].exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert probabilities[list(OPENINGS)].max() == 0


def test_a_long_review_is_scored_in_overlapping_windows(network: Transformer) -> None:
    tokens, lengths = reviews(17)
    (review,) = tokens
    expected = []
    for read in range(16):  # a context of 6 moves on by 3
        begin = 1 if read < 6 else 6 + (read - 6) // 3 * 3 - 2
        seen = torch.cat([review[:1], review[begin : read + 1]])
        logits = network(seen[None])[0, -1] @ network.embedding.T + network.output_bias
        expected.append(logits.log_softmax(0)[review[read + 1]])
    torch.testing.assert_close(transformer_scorer(network)(tokens, lengths)[0], torch.stack(expected))


def test_neighbours_and_padding_change_nothing(network: Transformer) -> None:
    score = transformer_scorer(network)
    tokens, lengths = reviews(17, 3, 8, 12, 6)
    together = score(tokens, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = score(tokens[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], together[row, : length - 1], rtol=1e-5, atol=1e-5)


def test_it_measures_a_corpus(corpus: Path, vocabulary_size: int) -> None:
    shape = TransformerShape(width=16, layers=1, heads=2, feed_forward=16, context=16)
    network = Transformer(shape, vocabulary_size)
    with torch.no_grad():
        network.norm.weight.zero_()  # every token that can follow is then as probable as any other
    split = Split(corpus, "valid")
    evaluation = evaluate(transformer_scorer(network), measurable_split(split, corpus_vocabulary(corpus)))
    assert evaluation.tokens == len(split.tokens)
    assert max(len(split.tokens_of(review)) for review in range(len(split))) > 16
    assert evaluation.token_perplexity == pytest.approx(vocabulary_size - len(OPENINGS), rel=1e-4)


def test_it_has_as_many_parameters_as_the_lstm() -> None:
    transformer = Transformer(TransformerShape(), 16_000)
    lstm = Network(NetworkOptions(embedding=256, hidden=512, ngrams=0), 16_000)
    sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (transformer, lstm)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.001)


def test_heads_share_the_width_equally() -> None:
    with pytest.raises(ValidationError, match="3 heads cannot share a width of 256 equally"):
        TransformerShape(heads=3)
