"""The service killed under load, for real; `python -m benchmarks.log --rounds 20` does it as often as one likes."""

from pathlib import Path

import pytest

from benchmarks.log import ANSWERS, Round, rounds

ROUNDS = 2


def killed(mode: str, folder: Path, artifact: Path) -> list[Round]:
    done = list(rounds(mode, ROUNDS, folder, model_directory=str(artifact)))
    assert all(each.answered >= ANSWERS for each in done)
    assert all(each.clean and not each.doubled for each in done)
    return done


@pytest.mark.parametrize("mode", ["commit", "sigterm"])
def test_every_answer_has_its_row(mode: str, tmp_path: Path, random_artifact: Path) -> None:
    assert [each.missing for each in killed(mode, tmp_path, random_artifact)] == [0] * ROUNDS


def test_in_the_background_only_the_latest_rows_are_lost(tmp_path: Path, random_artifact: Path) -> None:
    done = killed("background", tmp_path, random_artifact)
    assert [each.gaps for each in done] == [0] * ROUNDS
    assert all(each.missing < each.answered for each in done)
