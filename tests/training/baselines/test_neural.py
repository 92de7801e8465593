import math

import pytest
import torch
from torch import Tensor

from training.baselines.convolution import Convolution
from training.baselines.neural import (
    START,
    NeuralLanguageModel,
    Window,
    contexts_before,
    neural_scorer,
    since_opening,
)
from training.baselines.output import Softmax
from training.vocabulary import END

VOCABULARY = 10
A, B, C = 7, 8, 9
COUNTS = torch.ones(VOCABULARY)


def by_hand(direct: bool) -> NeuralLanguageModel:
    """Embeddings of one number, which is the token's own a tenth; a context of two, one hidden unit."""
    model = NeuralLanguageModel(VOCABULARY, 1, 1, Window(2, 1), lambda size: Softmax(size, COUNTS, 1), direct)
    assert isinstance(model.output, Softmax)
    with torch.no_grad():
        model.embedding.copy_(torch.arange(10.0)[:, None] / 10)
        model.hidden.weight.copy_(torch.tensor([[2.0, -3.0]]))
        model.hidden.bias.fill_(0.5)
        model.output.weight.zero_()
        model.output.bias.zero_()
        model.output.bias[B] = 0.25
        model.output.weight[C] = torch.tensor([1.0, -1.0, 4.0] if direct else [4.0])
    return model


@pytest.mark.parametrize("direct", [True, False])
def test_agrees_with_the_formula_by_hand(direct: bool) -> None:
    # x = (0.7, 0.8); tanh(d + Hx) = tanh(0.5 + 1.4 - 2.4); y_b = 0.25; y_c = W x + U a; the end mark and a have 0.
    hidden = math.tanh(0.5 + 2 * 0.7 - 3 * 0.8)
    y_c = 4 * hidden + (0.7 - 0.8 if direct else 0)
    expected = math.exp(y_c) / (math.exp(y_c) + math.exp(0.25) + 2)
    model = by_hand(direct)
    scores = neural_scorer(model)(torch.tensor([[START, A, B, C, END]]), torch.tensor([5]))
    assert scores[0, 2].exp().item() == pytest.approx(expected, rel=1e-5)


def test_a_convolution_agrees_with_the_formula_by_hand() -> None:
    encoder = Convolution(context=3, embedding=1, kernel=2, filters=2, place=1)
    with torch.no_grad():
        encoder.places.copy_(torch.tensor([[0.0], [1.0], [2.0]]))
        # Each filter weighs the first token's embedding and place, then the second's.
        encoder.filters.weight.copy_(torch.tensor([[1.0, 0.0, 10.0, 0.0], [0.0, 1.0, 0.0, -3.0]]))
        encoder.filters.bias.copy_(torch.tensor([0.0, 0.5]))
    # Windows (3, 5) and (5, 4): 1 × 3 + 10 × 5 = 53 and 45; places 0 - 3 × 1 + 0.5 = -2.5 and 1 - 3 × 2 + 0.5 = -4.5.
    assert encoder(torch.tensor([[[3.0], [5.0], [4.0]]])).tolist() == [[53.0, -2.5]]


def test_pooling_takes_the_strongest_answer_wherever_it_came_from() -> None:
    encoder = Convolution(context=4, embedding=1, kernel=1, filters=1, place=1)
    with torch.no_grad():
        encoder.filters.weight.copy_(torch.tensor([[1.0, 0.0]]))
        encoder.filters.bias.zero_()
    rows = torch.tensor([[9.0, 1, 2, 3], [1, 9, 2, 3], [1, 2, 3, 9]])[:, :, None]
    assert encoder(rows).tolist() == [[9.0], [9.0], [9.0]]


def test_contexts_end_at_the_opening_of_the_review() -> None:
    stream = torch.tensor([START, A, B, END, 3, C, END])
    places = torch.tensor([1, 2, 3, 5, 6])
    expected = [[0, 0, START], [0, START, A], [START, A, B], [0, 0, START], [0, START, C]]
    assert contexts_before(stream, places, 3).tolist() == expected
    assert since_opening(torch.tensor([[A, 4, B, C]])).tolist() == [[START, START, B, C]]


def models() -> dict[str, NeuralLanguageModel]:
    torch.manual_seed(1)

    def output(size: int) -> Softmax:
        return Softmax(size, COUNTS, 1)

    made = {
        "direct": NeuralLanguageModel(VOCABULARY, 4, 6, Window(3, 4), output, direct=True),
        "without": NeuralLanguageModel(VOCABULARY, 4, 6, Window(3, 4), output, direct=False),
        "convolution": NeuralLanguageModel(VOCABULARY, 4, 6, Convolution(5, 4, 3, 7, 2), output, direct=False),
    }
    for model in made.values():
        for weights in model.output.parameters():
            torch.nn.init.normal_(weights)
    return made


@pytest.mark.parametrize("name", ["direct", "without", "convolution"])
def test_steps_agree_with_scores_and_sum_to_one(name: str) -> None:
    model = models()[name]
    tokens = torch.tensor([[START, A, B, C, A, B, END], [2, C, END, 5, A, A, B]])
    scores = neural_scorer(model)(tokens, torch.tensor([7, 7]))
    state = model.initial_state(2)
    for t in range(6):
        following, state = model.step(tokens[:, t], state)
        torch.testing.assert_close(following.exp().sum(dim=1), torch.ones(2))
        own = following.gather(1, tokens[:, t + 1 : t + 2])[:, 0]
        torch.testing.assert_close(own, scores[:, t])


def test_the_rating_is_not_looked_at() -> None:
    model = models()["direct"]

    def after(opening: int) -> Tensor:
        return neural_scorer(model)(torch.tensor([[opening, A, B]]), torch.tensor([3]))

    assert after(START).equal(after(5))
