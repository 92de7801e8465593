import json
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.test_fit import options
from training.errors import TrainingError
from training.fit import fit
from training.run_log import LOG_FILE, RunLog


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads of a run: the points (updates, value) of each curve."""
    events = EventAccumulator(str(run))
    events.Reload()
    return {name: [(point.step, point.value) for point in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_gets_the_loss_the_rate_and_the_validation(corpus: Path, tmp_path: Path) -> None:
    finished = fit(
        options(epochs=0.4), corpus, tmp_path, resume=False, save_minutes=5, progress=False, tensorboard=True
    )
    drawn = curves(tmp_path)
    assert drawn.keys() == {"train_loss", "learning_rate", "valid_bits_per_character"}
    steps = list(range(10, finished.updates + 1, 10))
    assert len(steps) > 3
    assert [step for step, _ in drawn["train_loss"]] == [step for step, _ in drawn["learning_rate"]] == steps
    assert drawn["train_loss"][0][1] > drawn["train_loss"][-1][1] > 3
    assert 0 < drawn["learning_rate"][-1][1] < 0.005
    (entry,) = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    ((updates, value),) = drawn["valid_bits_per_character"]
    assert updates == finished.updates
    assert value == pytest.approx(entry["valid_bits_per_character"], abs=1e-6)


def test_curves_that_a_killed_run_drew_beyond_its_checkpoint_are_drawn_anew(tmp_path: Path) -> None:
    for begins, loss in ((0, 5.0), (20, 4.0)):
        with RunLog(tmp_path, begins, progress=False, tensorboard=True) as log:
            for update in range(begins + 1, 41):
                log.update(update, 0.5, loss, 0.1)
    assert [(step, value) for step, value in curves(tmp_path)["train_loss"]] == [
        (10, 5.0),
        (20, 5.0),
        (30, 4.0),
        (40, 4.0),
    ]


def test_the_loss_of_a_line_is_the_mean_since_the_line_before(tmp_path: Path) -> None:
    with RunLog(tmp_path, 0, progress=False, tensorboard=False) as log:
        for update, loss in enumerate([6.0, 5.0, 4.0, 2.0], start=1):
            log.update(update, 0.1, loss, 0.1)
            if update % 2 == 0:
                log.checkpoint({"updates": update, "tokens": 10 * update, "valid_bits_per_character": 1.0})
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [line["train_loss"] for line in lines] == [5.5, 3.0]
    assert not list(tmp_path.glob("*tfevents*"))


def test_without_tensorboard_a_sentence_says_what_to_install(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"pip install --editable '.\[tensorboard\]'"):
        fit(options(), corpus, tmp_path, resume=False, save_minutes=5, progress=False, tensorboard=True)
