import pytest
import torch

from training.cells import CellName
from training.network import Network, NetworkOptions
from training.vocabulary import OPENINGS


def network_of(cell: CellName, layers: int = 2) -> Network:
    torch.manual_seed(1)
    return Network(NetworkOptions(cell=cell, layers=layers, hidden=32, embedding=16), vocabulary_size=60)


CELLS: list[CellName] = ["lstm", "gru", "elman"]


@pytest.mark.parametrize("cell", CELLS)
def test_an_opening_makes_it_forget_and_nothing_else_does(cell: CellName) -> None:
    network = network_of(cell)
    before, review = torch.tensor([[3], [20], [30]]), torch.tensor([[4], [40], [50]])
    state = torch.randn_like(network.initial_state(1))
    followed, last = network(torch.cat([before, review]), state)
    afresh, afresh_last = network(review, network.initial_state(1))
    torch.testing.assert_close(followed[3:], afresh)
    torch.testing.assert_close(last, afresh_last)
    continued, _ = network(review[1:], state)
    started, _ = network(review[1:], network.initial_state(1))
    assert not torch.allclose(continued, started)


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_carries_all_there_is_from_one_call_to_the_next(cell: CellName) -> None:
    network = network_of(cell)
    tokens = torch.randint(0, 60, (10, 3))
    together, last = network(tokens, network.initial_state(3))
    first, state = network(tokens[:4], network.initial_state(3))
    second, after = network(tokens[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), together)
    torch.testing.assert_close(after, last)


def test_openings_are_never_predicted() -> None:
    network = network_of("lstm")
    projected, _ = network(torch.tensor([[3], [50]]), network.initial_state(1))
    log_probabilities = network.log_probabilities(projected)
    assert torch.all(log_probabilities[..., list(OPENINGS)] == -torch.inf)
    torch.testing.assert_close(log_probabilities.exp().sum(-1), torch.ones(2, 1))


def test_input_and_output_share_their_weights() -> None:
    network = network_of("gru", layers=1)
    shapes = sorted(tuple(parameter.shape) for parameter in network.parameters())
    assert shapes.count((60, 16)) == 1
    assert network.log_probabilities(torch.zeros(16)).shape == (60,)


def test_dropout_is_for_training_alone() -> None:
    network = Network(NetworkOptions(hidden=32, embedding=16, dropout=0.5), vocabulary_size=60)
    tokens, state = torch.tensor([[3], [50]]), network.initial_state(1)
    assert not torch.equal(network(tokens, state)[0], network(tokens, state)[0])
    network.eval()
    assert torch.equal(network(tokens, state)[0], network(tokens, state)[0])
