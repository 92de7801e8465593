from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from training.cells import ActivationName, CellName
from training.export import script
from training.network import Network, NetworkOptions
from training.ngrams import NgramTables
from training.vocabulary import END, OPENINGS

VOCABULARY = 300
HIDDEN = 96
ROWS, LONGEST = 32, 9


@dataclass
class Pair:
    """A network and the module that is served in its place."""

    network: Network
    module: Any


NETWORKS: list[tuple[CellName, ActivationName, int, int]] = [
    *((cell, "tanh", layers, 0) for cell in ("lstm", "gru", "elman") for layers in (1, 2)),
    *(("elman", activation, 1, 0) for activation in ("relu", "sigmoid", "arctan")),
    ("lstm", "tanh", 1, 200),
    ("gru", "tanh", 2, 200),
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda param: "-".join(map(str, param)))
def pair(request: pytest.FixtureRequest) -> Pair:
    cell, activation, layers, ngrams = request.param
    torch.manual_seed(1)
    options = NetworkOptions(
        cell=cell, activation=activation, layers=layers, hidden=HIDDEN, embedding=24, ngrams=ngrams, ngram_size=8
    )
    network = Network(options, VOCABULARY).eval()
    if network.ngrams is not None:
        fill_with_ngrams(network.ngrams)
    with torch.no_grad():
        network.projection.weight *= 6  # as sure of itself as a trained network, so that an error would show
        network.bias.normal_()
        for recurrent in network.cells:
            for parameter in recurrent.parameters():  # biases too, which start as constants
                parameter.copy_(parameter + 0.1 * torch.randn_like(parameter))
    return Pair(network, script(network))


def fill_with_ngrams(tables: NgramTables) -> None:
    """Puts in every pair and triple of the rows of `ragged` up to the fifth token, and vectors that matter."""
    tokens, _ = ragged_rows()
    words = torch.nn.functional.pad(tokens[:, 1:5], (2, 0))
    pairs = words[:, :-1] * VOCABULARY + words[:, 1:]
    tables.fill([pairs[:, 1:].unique(), (words[:, :-2] * VOCABULARY**2 + pairs[:, 1:]).unique()])
    for table in tables.tables:
        table.data[1:] = torch.randn_like(table[1:])


def ragged_rows() -> tuple[Tensor, Tensor]:
    """32 rows of tokens, `[B, T]`, of 1 to 9 tokens each, after an opening; and their lengths."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(END, VOCABULARY, (ROWS, LONGEST), generator=generator)
    tokens[:, 0] = torch.randint(0, END, (ROWS,), generator=generator)
    lengths = torch.arange(ROWS) % LONGEST + 1
    return tokens.masked_fill(torch.arange(LONGEST) >= lengths[:, None], 0), lengths


@pytest.fixture
def ragged() -> tuple[Tensor, Tensor]:
    return ragged_rows()


def opened(pair: Pair, rows: int) -> Tensor:
    """The states of `rows` reviews of 5, 4, 3 … stars that have just opened."""
    openings = 5 - torch.arange(rows) % 6
    state: Tensor = pair.module.step(openings, pair.module.initial_state(rows))[1]
    return state


def test_int8_is_close_to_the_network(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, lengths = ragged
    with torch.no_grad():
        projected, _ = pair.network(tokens.t(), pair.network.initial_state(ROWS))
        expected = pair.network.log_probabilities(projected)[lengths - 1, torch.arange(ROWS)]
    served, _ = pair.module.advance(tokens, lengths, pair.module.initial_state(ROWS))
    likely = expected > expected.amax(dim=1, keepdim=True) - 5
    assert float(expected[:, END:].std()) > 1  # these are no near-uniform distributions
    # The gates of the others keep roundings small; what an Elman cell rounds goes through all of its state.
    mean, largest = (0.08, 0.8) if pair.network.options.cell == "elman" else (0.05, 0.5)
    assert float((served - expected)[likely].abs().mean()) < mean
    assert float((served - expected)[likely].abs().max()) < largest


def test_probabilities_are_of_all_tokens_but_openings(pair: Pair) -> None:
    log_probabilities, _ = pair.module.step(torch.arange(7, 12), opened(pair, 5))
    assert torch.all(log_probabilities[:, list(OPENINGS)] == -torch.inf)
    assert torch.all(log_probabilities[:, END:] > -torch.inf)
    torch.testing.assert_close(log_probabilities.exp().sum(dim=1), torch.ones(5))


def rows_alone(tokens: Tensor, lengths: Tensor, state: Tensor) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Yields each row without its neighbours and without its padding."""
    for row, length in enumerate(lengths.tolist()):
        yield row, tokens[row : row + 1, :length], lengths[row : row + 1], state[row : row + 1]


def test_a_row_steps_the_same_alone_and_in_a_batch(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, _ = ragged
    state = opened(pair, ROWS)
    together, after = pair.module.step(tokens[:, 0], state)
    for row in range(ROWS):
        alone, alone_after = pair.module.step(tokens[row : row + 1, 0], state[row : row + 1])
        assert torch.equal(alone[0], together[row])
        assert torch.equal(alone_after[0], after[row])


def test_a_row_advances_the_same_alone_and_in_a_ragged_batch(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, lengths = ragged
    state = opened(pair, ROWS)
    together, after = pair.module.advance(tokens, lengths, state)
    for row, own, length, before in rows_alone(tokens, lengths, state):
        alone, alone_after = pair.module.advance(own, length, before)
        assert torch.equal(alone[0], together[row])
        assert torch.equal(alone_after[0], after[row])


def test_a_row_scores_the_same_alone_and_in_a_ragged_batch(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, lengths = ragged
    state = opened(pair, ROWS)
    together, ranks, after = pair.module.score(tokens, lengths, state, True)
    for row, own, length, before in rows_alone(tokens, lengths, state):
        alone, alone_ranks, alone_after = pair.module.score(own, length, before, True)
        assert torch.equal(alone[0], together[row, : len(own[0])])
        assert torch.equal(alone_ranks[0], ranks[row, : len(own[0])])
        assert torch.equal(alone_after[0], after[row])


def test_advancing_is_stepping(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, lengths = ragged
    state = opened(pair, ROWS)
    advanced, advanced_state = pair.module.advance(tokens, lengths, state)
    for row, own, _, stepped in rows_alone(tokens, lengths, state):
        for token in own[0]:
            log_probabilities, stepped = pair.module.step(token[None], stepped)  # noqa: PLW2901
        assert torch.equal(log_probabilities[0], advanced[row])
        assert torch.equal(stepped[0], advanced_state[row])


def test_scores_and_ranks_are_those_of_the_steps(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, lengths = ragged
    tokens = tokens.clamp_min(END)  # openings have no probability to compare
    state = opened(pair, ROWS)
    scores, ranks, scored_state = pair.module.score(tokens, lengths, state, True)
    log_probabilities = pair.module.log_probabilities(state)
    for t in range(LONGEST):
        own = log_probabilities.gather(1, tokens[:, t : t + 1])
        places = log_probabilities.argsort(dim=1, descending=True).argsort(dim=1).gather(1, tokens[:, t : t + 1]) + 1
        here = t < lengths
        assert torch.equal(scores[here, t], own[here, 0])
        assert torch.equal(ranks[here, t], places[here, 0])
        log_probabilities, after = pair.module.step(tokens[:, t], state)
        state = torch.where(here[:, None], after, state)
    assert torch.equal(scored_state, state)


def test_ranks_are_counted_only_when_asked_for(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, lengths = ragged
    with_ranks, ranks, _ = pair.module.score(tokens, lengths, opened(pair, ROWS), True)
    without, zeros, _ = pair.module.score(tokens, lengths, opened(pair, ROWS), False)
    assert torch.equal(with_ranks, without)
    assert ranks.min() >= 1
    assert ranks.max() <= VOCABULARY
    assert zeros.shape == ranks.shape
    assert not zeros.any()


def test_the_probabilities_follow_from_the_state_alone(pair: Pair) -> None:
    log_probabilities, state = pair.module.step(torch.tensor([40, 50]), opened(pair, 2))
    assert torch.equal(pair.module.log_probabilities(state), log_probabilities)
    assert state.shape == (2, pair.module.state_size)
    assert state.dtype == torch.float32


def test_a_fresh_state_is_one_that_knows_nothing(pair: Pair) -> None:
    assert torch.equal(pair.module.initial_state(3), torch.zeros(3, pair.module.state_size))


@pytest.mark.skipif("fbgemm" not in torch.backends.quantized.supported_engines, reason="FBGEMM is for x86 alone")
@pytest.mark.filterwarnings("ignore:.*torch.quantize_per_tensor:UserWarning")
def test_packed_weights_give_the_same_bits(pair: Pair, ragged: tuple[Tensor, Tensor]) -> None:
    tokens, lengths = ragged
    packed = Pair(pair.network, script(pair.network))
    packed.module.pack()
    expected, got = (
        (
            *each.module.step(tokens[:, 0], opened(each, ROWS)),
            *each.module.score(tokens, lengths, opened(each, ROWS), True),
        )
        for each in (pair, packed)
    )
    assert all(map(torch.equal, expected, got))
