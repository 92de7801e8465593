import hashlib
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from app.errors import StartupError
from app.language_model import LanguageModel, load_language_model
from tests.app.random_artifact import write_random_artifact
from tests.app.support import ARTIFACT
from training.export import write_sums

ROWS, LENGTH = 32, 20


def _remove_model(directory: Path) -> None:
    (directory / "language_model.pt").unlink()


def _remove_vocabulary(directory: Path) -> None:
    (directory / "vocab.json").unlink()


def _remove_sums(directory: Path) -> None:
    (directory / "SHA256SUMS").unlink()


def _change_a_weight(directory: Path) -> None:
    content = bytearray((directory / "language_model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (directory / "language_model.pt").write_bytes(content)


def _change_a_sum(directory: Path) -> None:
    sums = (directory / "SHA256SUMS").read_text()
    (directory / "SHA256SUMS").write_text(("0" if sums[0] != "0" else "1") + sums[1:])


def _name_no_vocabulary(directory: Path) -> None:
    sums = (directory / "SHA256SUMS").read_text()
    (directory / "SHA256SUMS").write_text(sums.splitlines(keepends=True)[0])


def _write_no_sums(directory: Path) -> None:
    (directory / "SHA256SUMS").write_text("nothing of the kind\n")


def _summed(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """Damage by somebody who writes the sums anew."""

    def damage_and_sum(directory: Path) -> None:
        damage(directory)
        write_sums(directory)

    return damage_and_sum


def _truncate(directory: Path) -> None:
    content = (directory / "language_model.pt").read_bytes()
    (directory / "language_model.pt").write_bytes(content[: len(content) // 2])


def _fill_with_garbage(directory: Path) -> None:
    (directory / "language_model.pt").write_bytes(b"no TorchScript archive" * 100)


def _empty(directory: Path) -> None:
    (directory / "language_model.pt").write_bytes(b"")


def _change_vocabulary(directory: Path) -> None:
    (directory / "vocab.json").write_bytes((directory / "vocab.json").read_bytes() + b"\n")


def _change_format(directory: Path) -> None:
    write_random_artifact(directory, format_version=3)


def _drop_description(directory: Path) -> None:
    module = torch.jit.load(str(directory / "language_model.pt"))
    torch.jit.save(module, str(directory / "language_model.pt"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_remove_model, "There is no .*language_model.pt"),
        (_remove_vocabulary, "There is no .*vocab.json"),
        (_remove_sums, "There is no .*SHA256SUMS"),
        (_write_no_sums, "SHA256SUMS has a line"),
        (_truncate, "damaged or was changed"),
        (_change_a_weight, "language_model.pt is damaged or was changed"),
        (_change_a_sum, "language_model.pt is damaged or was changed"),
        (_change_vocabulary, "vocab.json is damaged or was changed"),
        (_name_no_vocabulary, "vocab.json is damaged or was changed"),
        (_summed(_truncate), "damaged or is not an artifact"),
        (_summed(_fill_with_garbage), "damaged or is not an artifact"),
        (_summed(_empty), "damaged or is not an artifact"),
        (_summed(_change_vocabulary), "not the vocabulary"),
        (_change_format, "format version 3"),
        (_summed(_drop_description), "not an artifact of this project"),
    ],
)
def test_an_artifact_that_cannot_be_used_is_refused_with_advice(
    random_artifact: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    directory = Path(shutil.copytree(random_artifact, tmp_path / "model"))
    damage(directory)
    with pytest.raises(StartupError, match=said) as refusal:
        load_language_model(directory)
    assert "python -m training export" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_artifact_that_cannot_pack_its_weights_gives_the_same_bits(random_artifact: Path, tmp_path: Path) -> None:
    """As those do not that were exported before there was a `pack`."""
    directory = Path(shutil.copytree(random_artifact, tmp_path / "model"))
    path, extra = str(directory / "language_model.pt"), {"description.json": ""}
    module = torch.jit.load(path, _extra_files=extra).eval()
    kept = ["initial_state", "step", "advance", "score", "log_probabilities", "consume", "state_size"]
    torch.jit.save(torch.jit.freeze(module, preserved_attrs=kept), path, _extra_files=extra)
    write_sums(directory)
    former, present = load_language_model(directory), load_language_model(random_artifact)
    assert not hasattr(former.module, "pack")
    tokens = torch.arange(40, 48)
    for expected, got in zip(
        present.step(tokens, present.initial_state(8)), former.step(tokens, former.initial_state(8)), strict=True
    ):
        assert torch.equal(expected, got)


def test_the_sum_that_is_asked_for_is_that_of_the_model_file(random_artifact: Path) -> None:
    found = hashlib.sha256((random_artifact / "language_model.pt").read_bytes()).hexdigest()
    assert load_language_model(random_artifact, sha256=found).name == "tiny-1"
    with pytest.raises(StartupError, match=found):
        load_language_model(random_artifact, sha256="0" * 64)


def test_code_that_was_put_into_the_model_file_is_not_run(random_artifact: Path, tmp_path: Path) -> None:
    """A pickle that writes a file as it is read: neither with the old sums is it run, nor with new ones."""
    directory = Path(shutil.copytree(random_artifact, tmp_path / "model"))
    with (directory / "language_model.pt").open("wb") as file:
        pickle.dump(_Harmful(str(tmp_path / "harmed")), file)
    for prepare in (lambda _: None, write_sums):
        prepare(directory)
        with pytest.raises(StartupError):
            load_language_model(directory)
    assert not (tmp_path / "harmed").exists()
    pickle.loads((directory / "language_model.pt").read_bytes())
    assert (tmp_path / "harmed").exists()


class _Harmful:
    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._path,)


def test_the_shipped_artifact_is_the_one_that_was_exported() -> None:
    names = {line.split()[1] for line in (ARTIFACT / "SHA256SUMS").read_text().splitlines()}
    assert names == {"language_model.pt", "vocab.json"}
    load_language_model(ARTIFACT)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="nowhere"):
        load_language_model(tmp_path / "nowhere")


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_the_bytes_of_a_texts_tokens_are_the_text(model: LanguageModel, text: str) -> None:
    tokens = model.vocabulary.encode(text)
    assert b"".join(model.vocabulary.token_bytes[token] for token in tokens) == text.encode()
    assert not model.vocabulary.special & set(tokens)


def test_special_tokens_stand_for_no_text_and_no_text_spells_them(model: LanguageModel) -> None:
    vocabulary = model.vocabulary
    openings = [vocabulary.opening(stars) for stars in (None, 1, 2, 3, 4, 5)]
    assert len({*openings, vocabulary.end}) == 7
    assert {vocabulary.token_bytes[token] for token in vocabulary.special} == {b""}
    assert not vocabulary.special & set(vocabulary.encode("<end> <stars:5> <stars:unknown>"))


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_pre_tokens_are_the_text_in_parts(model: LanguageModel, text: str) -> None:
    assert "".join(model.vocabulary.pre_tokens(text)) == text


def test_words_keep_their_apostrophes_and_the_space_before_them(model: LanguageModel) -> None:
    parts = model.vocabulary.pre_tokens("I don't like 12 of them...")
    assert parts == ["I", " don't", " like", " 1", "2", " of", " them", "..."]


@pytest.fixture(scope="module")
def batch(model: LanguageModel) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens `[32, 20]`, lengths and states in the midst of something."""
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(model.vocabulary.size, (ROWS, LENGTH), generator=generator)
    lengths = torch.randint(1, LENGTH + 1, (ROWS,), generator=generator)
    _, state = model.step(tokens[:, 0], model.initial_state(ROWS))
    return tokens, lengths, state


def test_a_step_gives_the_same_bits_alone_and_in_a_batch(
    model: LanguageModel, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    tokens, _, state = batch
    together = model.step(tokens[:, 1], state)
    for row in range(ROWS):
        alone = model.step(tokens[row : row + 1, 1], state[row : row + 1])
        assert torch.equal(alone[0][0], together[0][row])
        assert torch.equal(alone[1][0], together[1][row])


def test_advancing_gives_the_same_bits_alone_without_padding(
    model: LanguageModel, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    tokens, lengths, state = batch
    together = model.advance(tokens, lengths, state)
    for row, length in enumerate(lengths.tolist()):
        alone = model.advance(tokens[row : row + 1, :length], lengths[row : row + 1], state[row : row + 1])
        assert torch.equal(alone[0][0], together[0][row])
        assert torch.equal(alone[1][0], together[1][row])


def test_advancing_is_stepping_many_times(model: LanguageModel, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    tokens, _, state = batch
    advanced = model.advance(tokens, torch.full((ROWS,), LENGTH), state)
    for place in range(LENGTH):
        log_probabilities, state = model.step(tokens[:, place], state)
    assert torch.equal(advanced[0], log_probabilities)
    assert torch.equal(advanced[1], state)


def test_scoring_gives_the_same_bits_alone_and_as_stepping(
    model: LanguageModel, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    tokens, lengths, state = batch
    scores, ranks, _ = model.score(tokens, lengths, state, True)
    for row, length in enumerate(lengths.tolist()):
        alone = model.score(tokens[row : row + 1, :length], lengths[row : row + 1], state[row : row + 1], True)
        assert torch.equal(alone[0][0], scores[row, :length])
        assert torch.equal(alone[1][0], ranks[row, :length])
    first_token = torch.zeros(ROWS, dtype=torch.long)
    log_probabilities, after = model.step(first_token, state)
    following, following_ranks, _ = model.score(tokens, lengths, after, True)
    own = log_probabilities.gather(1, tokens[:, :1])
    assert torch.equal(own, following[:, :1])
    assert torch.equal((log_probabilities > own).sum(dim=1) + 1, following_ranks[:, 0])


def test_probabilities_add_up_and_openings_are_never_predicted(
    model: LanguageModel, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    log_probabilities, _ = model.step(batch[0][:, 1], batch[2])
    assert log_probabilities.double().exp().sum(dim=1).tolist() == pytest.approx([1.0] * ROWS, rel=1e-5)
    openings = [model.vocabulary.opening(stars) for stars in (None, 1, 2, 3, 4, 5)]
    assert bool((log_probabilities[:, openings] == -torch.inf).all())
