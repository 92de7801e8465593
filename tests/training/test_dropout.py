import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.training.test_fit import options, train
from training.cells import Cell, CellName, make_cell
from training.corpus import ReviewStreams, Split
from training.dropout import Dropout, drop_words
from training.fit import Fit
from training.network import Network, NetworkOptions

STEPS, BATCH, SIZE = 7, 5, 400
CELLS: list[CellName] = ["lstm", "gru", "elman"]


def dropped(share: float, locked: bool) -> Tensor:
    """What dropout makes of ones, `[T, B, N]`."""
    torch.manual_seed(3)
    values: Tensor = Dropout(share, locked)(torch.ones(STEPS, BATCH, SIZE))
    return values


@pytest.mark.parametrize("locked", [False, True])
def test_a_share_is_dropped_and_the_rest_makes_up_for_it(locked: bool) -> None:
    values = dropped(0.2, locked)
    assert values.unique().tolist() == [0.0, 1.25]
    assert float((values == 0).float().mean()) == pytest.approx(0.2, abs=0.03)


def test_a_locked_mask_is_the_same_at_all_times_and_another_for_each_lane() -> None:
    fresh, locked = dropped(0.5, False), dropped(0.5, True)
    assert torch.equal(locked, locked[:1].expand_as(locked))
    for one, other in itertools.combinations(range(BATCH), 2):
        assert not torch.equal(locked[0, one], locked[0, other])
    for one, other in itertools.combinations(range(STEPS), 2):
        assert not torch.equal(fresh[one], fresh[other])


def test_a_locked_mask_stops_the_gradient_where_it_drops() -> None:
    values = torch.randn(STEPS, BATCH, SIZE, requires_grad=True)
    Dropout(0.5, locked=True)(values).sum().backward()
    assert values.grad is not None
    assert values.grad.unique().tolist() == [0.0, 2.0]
    assert torch.equal(values.grad, values.grad[:1].expand_as(values))


@pytest.mark.parametrize("locked", [False, True])
def test_nothing_is_dropped_outside_of_training(locked: bool) -> None:
    values = torch.randn(STEPS, BATCH, SIZE)
    assert torch.equal(Dropout(0.5, locked).eval()(values), values)


def test_words_are_dropped_whole_and_wherever_they_stand() -> None:
    torch.manual_seed(3)
    tokens = torch.arange(50).repeat(4)[torch.randperm(200)].view(40, 5)
    kept = drop_words(torch.ones(40, 5, 8), tokens, 50, 0.2)
    assert kept.unique().tolist() == [0.0, 1.25]
    of_words = [{tuple(row) for row in kept[tokens == word].tolist()} for word in range(50)]
    assert {len(rows) for rows in of_words} == {1}
    assert 3 <= of_words.count({(0.0,) * 8}) <= 20


def cell_of(name: CellName, weight_drop: float) -> Cell:
    torch.manual_seed(1)
    return make_cell(name, 4, 32, weight_drop=weight_drop)


@pytest.mark.parametrize("name", CELLS)
def test_weight_drop_drops_recurrent_weights_for_the_whole_call(name: CellName) -> None:
    cell = cell_of(name, weight_drop=0.5)
    inputs, state = torch.randn(STEPS, BATCH, 4), torch.randn(BATCH, cell.state_size)
    torch.manual_seed(2)
    outputs, last = cell(inputs, state, torch.ones(STEPS, BATCH))
    (outputs.sum() + last.sum()).backward()
    torch.manual_seed(2)
    mask = torch.nn.functional.dropout(torch.ones_like(cell.weight_hh), 0.5)
    twin = cell_of(name, weight_drop=0.0)
    twin.weight_hh.data *= mask
    twin_outputs, twin_last = twin(inputs, state, torch.ones(STEPS, BATCH))
    (twin_outputs.sum() + twin_last.sum()).backward()
    torch.testing.assert_close(outputs, twin_outputs)
    torch.testing.assert_close(last, twin_last)
    assert cell.weight_hh.grad is not None
    assert twin.weight_hh.grad is not None
    torch.testing.assert_close(cell.weight_hh.grad, twin.weight_hh.grad * mask)
    torch.testing.assert_close(cell.weight_ih.grad, twin.weight_ih.grad)
    assert float((mask == 0).float().mean()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("name", CELLS)
def test_no_weight_is_dropped_outside_of_training(name: CellName) -> None:
    cell, twin = cell_of(name, weight_drop=0.5).eval(), cell_of(name, weight_drop=0.0)
    inputs, state = torch.randn(STEPS, BATCH, 4), torch.randn(BATCH, cell.state_size)
    assert torch.equal(
        cell(inputs, state, torch.ones(STEPS, BATCH))[0], twin(inputs, state, torch.ones(STEPS, BATCH))[0]
    )


def places_dropped(**shares: Any) -> list[str]:
    """Where a network of two layers drops anything, by what its parts pass on to each other."""
    torch.manual_seed(1)
    network = Network(NetworkOptions(hidden=32, embedding=16, layers=2, **shares), vocabulary_size=60)
    seen: dict[str, Tensor] = {}
    for place, part in (("input", network.cells[0]), ("hidden", network.cells[1]), ("output", network.projection)):
        part.register_forward_pre_hook(lambda _, inputs, place=place: seen.update({place: inputs[0]}))
    network(torch.randint(7, 60, (STEPS, BATCH)), network.initial_state(BATCH))
    return [place for place, values in seen.items() if (values == 0).any()]


@pytest.mark.parametrize("place", ["input", "hidden", "output"])
def test_each_place_has_its_own_share(place: str) -> None:
    assert places_dropped() == []
    assert places_dropped(dropout=0.5) == ["input", "hidden", "output"]
    assert places_dropped(**{f"dropout_{place}": 0.5}) == [place]
    assert place not in places_dropped(dropout=0.5, **{f"dropout_{place}": 0.0})


def test_the_old_option_drops_what_it_always_did(corpus: Path) -> None:
    """As `nn.Dropout` draws: first the n-grams' features, then the embeddings, then what each layer gives."""
    shape = NetworkOptions(hidden=32, embedding=16, layers=2, dropout=0.5, ngrams=20, ngram_size=4)
    network = Network(shape, vocabulary_size=700)
    tokens = next(iter(ReviewStreams(Split(corpus, "train"), BATCH, STEPS, 0.3, seed=1))).inputs
    torch.manual_seed(2)
    projected, _ = network(tokens, network.initial_state(BATCH))
    torch.manual_seed(2)
    drop, keep = torch.nn.Dropout(0.5), (tokens >= 6).float()
    parts = network.initial_state(BATCH).split(network.state_sizes, dim=1)
    assert network.ngrams is not None
    features = drop(network.ngrams(tokens, parts[-1])[0])
    values = drop(torch.nn.functional.embedding(tokens, network.embedding) + network.ngrams_in(features))
    for cell, part in zip(network.cells, parts[:-1], strict=True):
        values = drop(cell(values, part, keep)[0])
    assert torch.equal(projected, network.projection(values) + network.ngrams_out(features))


EVERYTHING: dict[str, Any] = {
    **{"dropout_input": 0.1, "dropout_hidden": 0.2, "dropout_output": 0.3, "locked_dropout": True},
    **{"embedding_dropout": 0.1, "weight_drop": 0.4, "layers": 2},
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_falls_with_all_of_it(corpus: Path, cell: CellName, precision: str) -> None:
    losses = train(
        Fit(options(epochs=100, learning_rate=0.02, cell=cell, precision=precision, **EVERYTHING), corpus), 80
    )
    assert sum(losses[-20:]) / 20 < 0.85 * losses[0]


def test_a_run_with_all_of_it_resumes_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    expected = train(Fit(options(**EVERYTHING), corpus), 6)
    broken = Fit(options(**EVERYTHING), corpus)
    before = train(broken, 3)
    broken.save(tmp_path / "checkpoint.pt")
    assert before + train(Fit.load(tmp_path / "checkpoint.pt", corpus), 3) == expected


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [({"dropout_hidden": 0.2}, "give --layers 2"), ({"activation": "relu"}, "give --cell elman")],
)
def test_what_would_do_nothing_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        options(**changes)
