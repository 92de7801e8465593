import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.reviews import made_up_reviews, write_json_lines
from training.checkpoint import CHECKPOINT_FILE, load_network, read_checkpoint
from training.corpus import ReviewStreams, Split, corpus_vocabulary, prepare_corpus
from training.errors import TrainingError
from training.evaluate import evaluate, measurable_split, network_scorer
from training.fit import Fit, fit
from training.options import FitOptions
from training.run_log import LOG_FILE
from training.softmax import full_softmax


def options(**changes: Any) -> FitOptions:
    small = {"embedding": 16, "hidden": 32, "lanes": 4, "steps": 16, "negatives": 64, "warmup": 5}
    return FitOptions(**{**small, **changes})


FIRST_OPTIONS = {
    *("cell", "activation", "embedding", "hidden", "layers", "dropout", "ngrams", "ngram_size", "epochs", "minutes"),
    *("lanes", "steps", "learning_rate", "table_rate", "decay", "warmup", "weight_decay", "clip", "negatives"),
    *("hidden_ratings", "precision", "seed"),
}
"""What the first checkpoints of this format say of their run."""


def train(run: Fit, updates: int) -> list[float]:
    return list(itertools.islice(run.updates_forever(), updates))


@pytest.fixture
def checkpoint(corpus: Path, tmp_path: Path) -> Path:
    run = Fit(options(), corpus)
    train(run, 3)
    run.save(tmp_path / CHECKPOINT_FILE)
    return tmp_path / CHECKPOINT_FILE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"negatives": 0},
        {"ngrams": 60, "ngram_size": 8},
        {"cell": "gru", "layers": 2},
        {"cell": "elman", "activation": "relu"},
        {"precision": "bfloat16"},
        {"precision": "bfloat16", "negatives": 0, "layers": 2},
        {"precision": "bfloat16", "cell": "gru"},
        {"precision": "bfloat16", "cell": "elman"},
    ],
    ids=str,
)
def test_the_loss_falls(corpus: Path, changes: dict[str, Any]) -> None:
    losses = train(Fit(options(epochs=100, learning_rate=0.02, **changes), corpus), 100)
    assert losses[0] == pytest.approx(math.log(700), abs=0.5)  # at first it knows nothing
    assert sum(losses[-20:]) / 20 < 0.6 * losses[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.2, "ngrams": 60, "ngram_size": 4},
        {"negatives": 0, "cell": "gru", "layers": 2, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_a_resumed_run_is_the_unbroken_run_to_the_bit(corpus: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    unbroken = Fit(options(**changes), corpus)
    expected = train(unbroken, 40)
    broken = Fit(options(**changes), corpus)
    before = train(broken, 20)
    broken.save(tmp_path / "checkpoint.pt")
    torch.rand(7)  # the resumed run must not depend on what else was drawn
    resumed = Fit.load(tmp_path / "checkpoint.pt", corpus)
    after = train(resumed, 20)
    assert before + after == expected
    assert (resumed.updates, resumed.tokens) == (unbroken.updates, unbroken.tokens) == (40, 40 * 64)
    weights, others = unbroken.network.state_dict(), resumed.network.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert torch.equal(unbroken.state, resumed.state)


def test_the_same_seed_trains_the_same_and_another_does_not(corpus: Path) -> None:
    first, second, other = (train(Fit(options(seed=seed), corpus), 3) for seed in (1, 1, 2))
    assert first == second != other


def test_the_state_is_carried_from_batch_to_batch(corpus: Path) -> None:
    run = Fit(options(negatives=0, steps=5, learning_rate=1e-12), corpus)  # too slow to change the weights
    first, second = itertools.islice(ReviewStreams(run.train_split, 4, 5, 0.3, seed=1), 2)
    _, loss = train(run, 2)
    projected, state = run.network(torch.cat([first.inputs, second.inputs]), run.network.initial_state(4))
    counted = second.targets >= 0
    expected = full_softmax(
        projected[5:][counted], second.targets[counted], run.network.embedding, run.network.output_bias
    )
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(run.state, state)


def test_progress_goes_by_tokens_or_by_minutes_whatever_is_further(corpus: Path) -> None:
    run = Fit(options(epochs=2, minutes=10), corpus)
    assert run.tokens_planned == 2 * (len(run.train_split.tokens) + 2 * 200)
    assert run.progress == 0
    run.seconds = 300
    assert run.progress == pytest.approx(0.5)
    run.tokens = int(0.75 * run.tokens_planned)
    assert run.progress == pytest.approx(0.75, abs=0.001)
    run.seconds = 6000
    assert run.progress == 1


def test_the_learning_rate_rises_and_ends_at_zero(corpus: Path) -> None:
    run = Fit(options(epochs=1, warmup=9, learning_rate=0.01), corpus)
    rates = []
    for _ in run.updates_forever():
        rates.append(run.optimizers[0].param_groups[0]["lr"])
        if run.progress == 1:
            break
    assert rates[0] == pytest.approx(0.001)
    assert rates[:8] == sorted(rates[:8])
    assert rates[12:] == sorted(rates[12:], reverse=True)
    assert rates[-1] < 0.0005
    assert max(rates) < 0.01


def test_the_learning_rate_stays_level_until_the_decay(corpus: Path) -> None:
    run = Fit(options(epochs=1, warmup=0, learning_rate=0.01, decay=0.25, ngrams=20, ngram_size=4), corpus)
    rates: dict[float, list[float]] = {}
    for _ in run.updates_forever():
        rates[run.progress] = [group["lr"] for optimizer in run.optimizers for group in optimizer.param_groups]
        if run.progress == 1:
            break
    assert all(rate == [0.01, 0.05] for progress, rate in rates.items() if progress <= 0.75)
    update = 1 / len(rates)
    for progress, rate in rates.items():  # an update's rate follows from the progress before it
        if 0.75 + update < progress < 1:
            share = (1 - progress + update) / 0.25
            assert rate == [pytest.approx(0.01 * share, abs=1e-4), pytest.approx(0.05 * share, abs=5e-4)]


def test_the_last_share_of_a_run_takes_the_full_softmax(corpus: Path) -> None:
    sampled, mixed = (
        Fit(options(epochs=0.1, full_softmax_share=share, learning_rate=1e-9), corpus) for share in (0.0, 0.5)
    )
    full = Fit(options(epochs=0.1, negatives=0, learning_rate=1e-9), corpus)
    updates = math.ceil(sampled.tokens_planned / 64)
    assert updates > 8
    losses, of_mixed, of_full = (train(run, updates) for run in (sampled, mixed, full))
    half = math.ceil(updates / 2)
    assert of_mixed[:half] == losses[:half]
    assert of_mixed[half:] == pytest.approx(of_full[half:], abs=1e-5)
    assert of_mixed[half:] != pytest.approx(losses[half:], abs=1e-3)


def test_a_loss_that_is_no_number_ends_in_advice(corpus: Path) -> None:
    with pytest.raises(TrainingError, match="lower --learning-rate"):
        train(Fit(options(learning_rate=1e30, warmup=0), corpus), 10)


def test_a_run_ends_with_a_checkpoint_and_a_log(corpus: Path, tmp_path: Path) -> None:
    finished = fit(options(epochs=1), corpus, tmp_path, resume=False, save_minutes=5, progress=False)
    assert finished.progress == 1
    network, saved = load_network(tmp_path / CHECKPOINT_FILE)
    assert saved["progress"]["updates"] == finished.updates == math.ceil(finished.tokens_planned / 64)
    assert saved["options"] == options(epochs=1).model_dump()
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in finished.network.state_dict().items())
    (entry,) = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert entry["updates"] == finished.updates
    assert entry["valid_reviews"] == 70
    measured = evaluate(network_scorer(network), measurable_split(Split(corpus, "valid"), corpus_vocabulary(corpus)))
    assert entry["valid_bits_per_character"] == pytest.approx(measured.bits_per_character)


def test_checkpoints_are_saved_as_often_as_asked(corpus: Path, tmp_path: Path) -> None:
    finished = fit(options(epochs=0.05), corpus, tmp_path, resume=False, save_minutes=1e-9, progress=False)
    entries = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [entry["updates"] for entry in entries] == list(range(1, finished.updates + 1))
    assert finished.updates > 3


def test_a_run_may_start_from_the_weights_of_another(corpus: Path, checkpoint: Path) -> None:
    weights = read_checkpoint(checkpoint)["network"]
    with_ngrams = Fit(options(start=checkpoint, seed=2, ngrams=60), corpus)
    assert all(torch.equal(with_ngrams.network.state_dict()[name], weight) for name, weight in weights.items())
    assert with_ngrams.tokens == 0
    assert train(with_ngrams, 1)[0] < train(Fit(options(seed=2, ngrams=60), corpus), 1)[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden": 64}, "cells.0.bias is 256 here and 128 in"),
        ({"embedding": 8}, "cells.0.weight_ih is 128 × 8 here and 128 × 16 in"),
    ],
)
def test_weights_of_another_shape_are_refused(
    corpus: Path, checkpoint: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        Fit(options(start=checkpoint, **changes), corpus)


def test_a_run_goes_on_only_when_told_to(corpus: Path, tmp_path: Path) -> None:
    begun = Fit(options(epochs=1), corpus)
    train(begun, 10)
    begun.save(tmp_path / CHECKPOINT_FILE)
    with pytest.raises(TrainingError, match="add --resume"):
        fit(options(), corpus, tmp_path, resume=False, save_minutes=5, progress=False)
    finished = fit(options(hidden=64), corpus, tmp_path, resume=True, save_minutes=5, progress=False)
    assert finished.options == options(epochs=1)
    assert finished.progress == 1


def test_a_checkpoint_of_another_vocabulary_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "r.json", made_up_reviews(20, seed=9))
    other = tmp_path / "other"
    prepare_corpus({name: [path] for name in ("train", "valid", "test")}, other, 300, 20, progress=False)
    with pytest.raises(TrainingError, match="another vocabulary"):
        Fit.load(checkpoint, other)


def test_a_checkpoint_from_before_an_option_came_to_be_goes_on_as_it_would_have(corpus: Path, tmp_path: Path) -> None:
    changes = {"dropout": 0.2, "ngrams": 20, "ngram_size": 4}
    expected = train(Fit(options(**changes), corpus), 6)
    run = Fit(options(**changes), corpus)
    before = train(run, 3)
    run.save(tmp_path / CHECKPOINT_FILE)
    saved = torch.load(tmp_path / CHECKPOINT_FILE, weights_only=True)
    saved["options"] = {name: value for name, value in saved["options"].items() if name in FIRST_OPTIONS}
    torch.save(saved, tmp_path / CHECKPOINT_FILE)
    resumed = Fit.load(tmp_path / CHECKPOINT_FILE, corpus)
    assert resumed.options == run.options
    assert before + train(resumed, 3) == expected
    assert load_network(tmp_path / CHECKPOINT_FILE)[1]["options"] == run.options.model_dump()


def damaged(checkpoint: Path, damage: str) -> None:
    data = checkpoint.read_bytes()
    saved = read_checkpoint(checkpoint)
    if damage == "cut off":
        checkpoint.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        checkpoint.write_bytes(b"")
    elif damage == "no checkpoint":
        checkpoint.write_text("a review")
    elif damage == "a tensor alone":
        torch.save(torch.zeros(3), checkpoint)
    elif damage == "another format":
        torch.save({**saved, "format": 0}, checkpoint)
    elif damage == "runs code":
        torch.save({**saved, "options": Path("a class that is no data")}, checkpoint)


@pytest.mark.parametrize(
    "damage", ["cut off", "empty", "no checkpoint", "a tensor alone", "another format", "runs code"]
)
def test_a_damaged_checkpoint_is_refused(corpus: Path, checkpoint: Path, damage: str) -> None:
    assert Fit.load(checkpoint, corpus).updates == 3
    damaged(checkpoint, damage)
    with pytest.raises(TrainingError, match="train again"):
        Fit.load(checkpoint, corpus)
    with pytest.raises(TrainingError, match="train again"):
        load_network(checkpoint)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run `python -m training train` first"):
        load_network(tmp_path / CHECKPOINT_FILE)


def test_a_finished_run_that_is_resumed_stays_as_it_is(corpus: Path, tmp_path: Path) -> None:
    finished = fit(options(epochs=0.01), corpus, tmp_path, resume=False, save_minutes=1, progress=False)
    again = fit(options(), corpus, tmp_path, resume=True, save_minutes=1, progress=False)
    assert again.updates == finished.updates
    assert len((tmp_path / LOG_FILE).read_text().splitlines()) == 1


def test_a_resumed_run_may_be_given_another_end_and_nothing_else(corpus: Path, tmp_path: Path) -> None:
    fit(options(epochs=0.05), corpus, tmp_path, resume=False, save_minutes=1, progress=False)
    longer = fit(options(epochs=0.1, hidden=64), corpus, tmp_path, resume=True, save_minutes=1, progress=False)
    assert longer.options == options(epochs=0.1)
    assert longer.tokens >= longer.tokens_planned
