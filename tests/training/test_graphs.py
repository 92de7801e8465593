import pytest
import torch
from torch import Tensor

from training.cells import CellName
from training.graphs import replay_recurrence
from training.network import Network, NetworkOptions
from training.vocabulary import END

STEPS, LANES, VOCABULARY = 12, 6, 50

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are a GPU's")


def network_on_a_gpu(cell: CellName) -> Network:
    torch.manual_seed(1)
    return Network(NetworkOptions(cell=cell, embedding=16, hidden=32, layers=2), VOCABULARY).cuda()


def batches(count: int) -> list[Tensor]:
    """Tokens among which reviews open now and then."""
    return [torch.randint(END - 1, VOCABULARY, (STEPS, LANES), device="cuda") for _ in range(count)]


def learned(network: Network, batches: list[Tensor], precision: str) -> list[Tensor]:
    """What a network makes of batches, one after the other, and the gradients of each."""
    state, found = network.initial_state(LANES), []
    for tokens in batches:
        network.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, precision == "bfloat16"):
            projected, state = network(tokens, state)
        projected.float().square().sum().backward()
        state = state.detach()
        found += [projected.detach().float().clone(), state.float().clone()]
        found += [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
    return found


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_is_replayed_gives_the_states_and_gradients_of_what_is_not(cell: CellName, precision: str) -> None:
    network, tokens = network_on_a_gpu(cell), batches(3)
    expected = learned(network, tokens, precision)
    replay_recurrence(network, STEPS, LANES, precision)
    for mine, other in zip(learned(network, tokens, precision), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=5e-3, atol=5e-3)


@torch.no_grad()
def test_a_replayed_teacher_reads_as_before() -> None:
    network, (tokens, following) = network_on_a_gpu("lstm").eval().requires_grad_(False), batches(2)
    _, state = network(tokens, network.initial_state(LANES))
    expected, _ = network(following, state)
    replay_recurrence(network, STEPS, LANES, "float32")
    _, state = network(tokens, network.initial_state(LANES))
    torch.testing.assert_close(network(following, state)[0], expected)


@torch.no_grad()
def test_in_the_other_mode_any_shape_is_read() -> None:
    network = network_on_a_gpu("lstm")
    replay_recurrence(network, STEPS, LANES, "float32")
    tokens = torch.randint(END, VOCABULARY, (5, 2), device="cuda")
    projected, _ = network.eval()(tokens, network.initial_state(2))
    assert projected.shape == (5, 2, 16)
