import pytest
import torch
from torch import Tensor

from training.softmax import SampledSoftmax, full_softmax

VOCABULARY, SIZE = 2000, 8


def output_layer(vocabulary: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(vocabulary, SIZE) * 0.5, torch.randn(vocabulary)


def zipf(vocabulary: int) -> Tensor:
    """Counts as words have them: the second most frequent token half as often as the first, and so on."""
    return (1_000_000 / torch.arange(1, vocabulary + 1)).long()


def test_full_softmax_is_cross_entropy() -> None:
    embedding, bias = output_layer(20)
    hidden, targets = torch.randn(3, SIZE), torch.tensor([0, 7, 7])
    scores = hidden @ embedding.T + bias
    expected = -sum(scores[n, t] - scores[n].exp().sum().log() for n, t in enumerate(targets.tolist())) / 3
    torch.testing.assert_close(full_softmax(hidden, targets, embedding, bias), torch.as_tensor(expected))


def test_a_sample_of_the_whole_vocabulary_gives_the_full_softmax() -> None:
    embedding, bias = output_layer(20)
    hidden = torch.randn(6, SIZE, requires_grad=True)
    targets = torch.randint(0, 20, (6,))
    sampled = SampledSoftmax(torch.full((20,), 100), negatives=2000, seed=1)(hidden, targets, embedding, bias)
    (gradient,) = torch.autograd.grad(sampled, hidden)
    full = full_softmax(hidden, targets, embedding, bias)
    (expected,) = torch.autograd.grad(full, hidden)
    torch.testing.assert_close(sampled, full)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("batch", [1, 200])
def test_the_normaliser_is_right_on_average(batch: int) -> None:
    """With targets drawn as often as they were counted, who are a part of the sample, the estimate of Z is unbiased."""
    embedding, bias = output_layer(VOCABULARY)
    counts = zipf(VOCABULARY)
    hidden = torch.randn(1, SIZE).expand(batch, SIZE)
    scores = (hidden[0] @ embedding.T + bias).double()
    loss = SampledSoftmax(counts, negatives=300, seed=1)
    estimates = []
    for _ in range(1000):
        targets = torch.multinomial(counts.double(), batch, replacement=True)
        estimates.append(torch.exp(loss(hidden, targets, embedding, bias) + scores[targets].mean()))
    estimate = torch.stack(estimates)
    standard_error = float(estimate.std()) / len(estimates) ** 0.5
    expected = float(scores.exp().sum())
    assert 0 < standard_error < 0.015 * expected
    assert float(estimate.mean()) == pytest.approx(expected, abs=4 * standard_error)


def test_a_token_that_was_never_seen_can_be_drawn() -> None:
    embedding, bias = output_layer(3)
    loss = SampledSoftmax(torch.tensor([10, 0, 0]), negatives=500, seed=1)
    hidden, targets = torch.zeros(1, SIZE), torch.tensor([0])
    assert float(loss(hidden, targets, embedding, bias)) == pytest.approx(
        float(full_softmax(hidden, targets, embedding, bias)), abs=1e-3
    )


def test_the_generator_goes_on_exactly_where_it_was_saved() -> None:
    embedding, bias = output_layer(VOCABULARY)
    hidden, targets = torch.randn(4, SIZE), torch.tensor([1, 2, 30, 400])

    def losses(loss: SampledSoftmax) -> list[float]:
        return [float(loss(hidden, targets, embedding, bias)) for _ in range(5)]

    unbroken = SampledSoftmax(zipf(VOCABULARY), negatives=20, seed=1)
    first = losses(unbroken)
    resumed = SampledSoftmax(zipf(VOCABULARY), negatives=20, seed=2)
    resumed.load_state_dict(unbroken.state_dict())
    second = losses(unbroken)
    assert losses(resumed) == second
    assert second != first
