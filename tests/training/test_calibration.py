import itertools
import json
import math
from pathlib import Path

import pytest
import torch

from tests.conftest import TinyRun
from training.calibration import TOLERANCE, Calibration, calibrate, calibrated, least
from training.checkpoint import CHECKPOINT_FILE, load_network
from training.corpus import Split, corpus_vocabulary
from training.evaluate import Measurable, measurable_split
from training.export import export
from training.fit import Fit
from training.network import Network
from training.options import FitOptions


@pytest.fixture(scope="module")
def reviews(tiny_run: TinyRun) -> list[Measurable]:
    return [
        *itertools.islice(measurable_split(Split(tiny_run.corpus, "valid"), corpus_vocabulary(tiny_run.corpus)), 60)
    ]


@pytest.fixture(scope="module")
def with_ngrams(tiny_run: TinyRun) -> Network:
    """A network with n-gram tables, trained a little."""
    options = FitOptions(
        hidden=32, embedding=16, lanes=8, steps=24, ngrams=200, ngram_size=8, negatives=0, epochs=2, table_rate=0.5
    )
    fit = Fit(options, tiny_run.corpus)
    for _ in fit.updates_to_the_end():
        pass
    return fit.network.eval()


@pytest.mark.parametrize("place", [0.62, 1.0, 1.31])
def test_the_least_value_is_found(place: float) -> None:
    assert least(lambda value: (value - place) ** 4) == pytest.approx(place, abs=TOLERANCE)


def test_a_temperature_divides_the_logits(with_ngrams: Network) -> None:
    tokens = torch.randint(10, with_ngrams.vocabulary_size, (7, 2), generator=torch.Generator().manual_seed(1))
    cooler = calibrated(with_ngrams, Calibration(temperature=0.5))
    with torch.no_grad():
        before, _ = with_ngrams(tokens, with_ngrams.initial_state(2))
        after, _ = cooler(tokens, cooler.initial_state(2))
        logits = before @ with_ngrams.embedding.t() + with_ngrams.output_bias
        expected = torch.log_softmax(2 * logits, dim=-1)
        torch.testing.assert_close(cooler.log_probabilities(after), expected, atol=1e-4, rtol=1e-4)


def test_scales_are_those_of_the_tables_and_the_network_is_left_as_it_was(with_ngrams: Network) -> None:
    assert with_ngrams.ngrams is not None
    pairs, triples = (table.detach().clone() for table in with_ngrams.ngrams.tables)
    scaled = calibrated(with_ngrams, Calibration(pairs=0.5, triples=0.25))
    assert scaled.ngrams is not None
    assert torch.equal(scaled.ngrams.tables[0], 0.5 * pairs)
    assert torch.equal(scaled.ngrams.tables[1], 0.25 * triples)
    assert torch.equal(with_ngrams.ngrams.tables[0], pairs)
    assert torch.equal(scaled.projection.weight, with_ngrams.projection.weight)


def test_what_was_put_wrong_is_put_right(with_ngrams: Network, reviews: list[Measurable]) -> None:
    right = calibrate(with_ngrams, reviews)
    wrong = calibrated(with_ngrams, Calibration(temperature=1 / 1.2))  # too sure of everything
    assert calibrate(wrong, reviews).temperature / right.temperature == pytest.approx(1.2, abs=0.06)
    assert 0.7 < right.pairs < 1.3  # what was found is no end of where it was looked for
    wrong = calibrated(with_ngrams, Calibration(pairs=1.25))
    assert calibrate(wrong, reviews).pairs / right.pairs == pytest.approx(1 / 1.25, abs=0.08)


def test_a_network_without_tables_has_a_temperature_alone(tiny_run: TinyRun, reviews: list[Measurable]) -> None:
    network, _ = load_network(tiny_run.run / CHECKPOINT_FILE)
    found = calibrate(network, reviews)
    assert (found.pairs, found.triples) == (1.0, 1.0)
    assert math.isfinite(found.temperature)
    assert found.temperature != 1.0


def test_an_artifact_tells_how_it_was_calibrated(tiny_run: TinyRun, tmp_path: Path) -> None:
    metrics = export(tiny_run.run / CHECKPOINT_FILE, tiny_run.corpus, tmp_path, "Made up.", 5, 60)
    found = metrics["calibration"]
    assert found["reviews"] == 60
    assert found["temperature"] != 1
    assert f"temperature {found['temperature']:g}" in (tmp_path / "model_card.md").read_text()
    plain = json.loads((tiny_run.artifact / "metrics.json").read_text())
    assert plain["calibration"] is None
    assert plain["model"] != metrics["model"]
