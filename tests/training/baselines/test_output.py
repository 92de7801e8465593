import math

import pytest
import torch
from torch import Tensor

from training.baselines.output import ClassFactored, Output, Softmax
from training.vocabulary import END

VOCABULARY, FEATURES = 20, 5
COUNTS = torch.tensor([0] * END + [40, 0, 1, 2, 30, 10, 5, 4, 3, 2, 1, 1, 1, 0])


def outputs() -> dict[str, Output]:
    torch.manual_seed(1)
    made: dict[str, Output] = {
        "softmax": Softmax(FEATURES, COUNTS, seed=1),
        "classes": ClassFactored(FEATURES, COUNTS, classes=4),
    }
    for output in made.values():
        for weights in output.parameters():
            torch.nn.init.normal_(weights)
    return made


def hidden(rows: int) -> Tensor:
    return torch.randn(rows, FEATURES, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", ["softmax", "classes"])
def test_probabilities_sum_to_one_over_what_can_be_predicted(name: str) -> None:
    scores = outputs()[name].log_probabilities(hidden(3))
    assert scores.shape == (3, VOCABULARY)
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(3))
    assert scores[:, :END].isneginf().all()
    assert scores[:, END:].isfinite().all()


@pytest.mark.parametrize("name", ["softmax", "classes"])
def test_the_score_of_a_target_is_its_place_in_the_whole(name: str) -> None:
    output, states = outputs()[name], hidden(300)
    targets = torch.randint(END, VOCABULARY, (300,), generator=torch.Generator().manual_seed(3))
    expected = output.log_probabilities(states).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(output.of_targets(states, targets), expected)


def test_a_class_factored_probability_is_that_of_the_class_times_that_within_it() -> None:
    # By frequency the tokens are 6, 10, 11, 12, …, which begin at 0, 0.36, 0.63 and 0.73 of the text: in the first, the
    # second, the third and the third quarter.
    output = ClassFactored(1, COUNTS, classes=4)
    assert output.sizes == [1, 1, 2, 10]
    assert output.ordered.tolist()[:4] == [6, 10, 11, 12]
    with torch.no_grad():
        output.classes.weight.copy_(torch.tensor([[1.0], [2], [3], [0]]))
        output.classes.bias.zero_()
        output.weight.zero_()
        output.weight[2:4, 0] = torch.tensor([1.0, -1])
    of_class = math.exp(3) / (math.exp(1) + math.exp(2) + math.exp(3) + 1)
    within = math.exp(1) / (math.exp(1) + math.exp(-1))
    scores = output.of_targets(torch.ones(2, 1), torch.tensor([11, 19]))
    assert scores[0].exp().item() == pytest.approx(of_class * within)
    last = 1 / (math.exp(1) + math.exp(2) + math.exp(3) + 1) / 10  # one of ten alike
    assert scores[1].exp().item() == pytest.approx(last)


def test_classes_have_like_shares_of_the_text_but_not_of_the_vocabulary() -> None:
    counts = torch.tensor([0] * END + [10_000 // rank for rank in range(1, 1001)])  # Zipf's law
    output = ClassFactored(2, counts, classes=10)
    shares = torch.zeros(10).index_add(0, output.class_of[END:], counts[END:].float()) / counts.sum()
    assert shares[1:].max() < 0.15  # the most frequent token alone has more than a tenth
    assert output.sizes[0] < 3
    assert output.sizes[-1] > 300
    assert sum(output.sizes) == 1000


def test_the_softmax_begins_at_the_unigrams() -> None:
    output = Softmax(FEATURES, COUNTS, seed=1)
    found = output.log_probabilities(torch.zeros(1, FEATURES)).exp()[0]
    counts = COUNTS[END:] + 1.0
    torch.testing.assert_close(found[END:], counts / counts.sum())


@pytest.mark.parametrize("name", ["softmax", "classes"])
def test_descending_its_loss_learns_the_shares_of_targets(name: str) -> None:
    output = outputs()[name]
    targets = torch.tensor([8] * 60 + [9] * 30 + [10] * 10)
    optimizer = torch.optim.Adam(output.parameters(), 0.1)
    for _ in range(80):
        optimizer.zero_grad()
        output.loss(torch.ones(100, FEATURES), targets).backward()
        optimizer.step()
    found = output.log_probabilities(torch.ones(1, FEATURES)).exp()[0, 8:11]
    torch.testing.assert_close(found, torch.tensor([0.6, 0.3, 0.1]), atol=0.05, rtol=0)
