import math

import pytest
import torch

from training.baselines.output import ClassFactored, Output, Softmax
from training.baselines.recurrent import RecurrentLanguageModel, recurrent_scorer
from training.vocabulary import END, UNKNOWN_RATING

VOCABULARY = 10
A, B, C = 7, 8, 9
COUNTS = torch.tensor([0] * END + [4, 3, 2, 1])


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_agrees_with_the_formula_by_hand() -> None:
    model = RecurrentLanguageModel(VOCABULARY, 1, 1, lambda size: Softmax(size, COUNTS, 1), "sigmoid")
    assert isinstance(model.output, Softmax)
    with torch.no_grad():
        model.embedding.copy_(torch.arange(10.0)[:, None] / 10)
        model.cell.weight_ih.fill_(2.0)
        model.cell.weight_hh.fill_(-3.0)
        model.cell.bias.fill_(0.5)
        model.output.weight.zero_()
        model.output.weight[C] = 4.0
        model.output.bias.zero_()
    opened = sigmoid(2 * 0 + 0.5)  # the opening's embedding is 0, and nothing came before
    after_a = sigmoid(2 * 0.7 + 0.5 - 3 * opened)
    expected = math.exp(4 * after_a) / (math.exp(4 * after_a) + 3)
    scores = recurrent_scorer(model)(torch.tensor([[UNKNOWN_RATING, A, C]]), torch.tensor([3]))
    assert scores[0, 1].exp().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["softmax", "classes"])
def test_steps_agree_with_scores_and_an_opening_forgets(name: str) -> None:
    torch.manual_seed(1)

    def output(size: int) -> Output:
        return Softmax(size, COUNTS, 1) if name == "softmax" else ClassFactored(size, COUNTS, 2)

    model = RecurrentLanguageModel(VOCABULARY, 3, 5, output)
    for weights in model.output.parameters():
        torch.nn.init.normal_(weights)
    tokens = torch.tensor([[UNKNOWN_RATING, A, B, END, UNKNOWN_RATING, A, B], [UNKNOWN_RATING, C, B, A, C, C, END]])
    scores = recurrent_scorer(model)(tokens, torch.tensor([7, 7]))
    state = model.initial_state(2)
    for t in range(6):
        following, state = model.step(tokens[:, t], state)
        torch.testing.assert_close(following.exp().sum(dim=1), torch.ones(2))
        own = following.gather(1, tokens[:, t + 1 : t + 2])[:, 0]
        torch.testing.assert_close(own, scores[:, t])
    torch.testing.assert_close(scores[0, 4:], scores[0, :2])
