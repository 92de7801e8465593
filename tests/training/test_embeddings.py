from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from tests.training.test_fit import options, train
from training.embeddings import fill_embedding
from training.errors import TrainingError
from training.fit import Fit

WORDS = {"the": [1.0, 2.0, -1.0], "Went": [0.0, 3.0, 1.0], "went": [2.0, -2.0, 2.0], "great": [9.0, 9.0, 9.0]}
"""Plain words, one of them with and without its capital."""


def as_text(path: Path, header: str = "") -> Path:
    lines = [" ".join([word, *map(str, vector)]) for word, vector in WORDS.items()]
    path.write_text(header + "\n".join([*lines, "of course 1 1 1", "zzzzz 4 4 4"]) + "\n")
    return path


def as_npz(path: Path, words: Any = tuple(WORDS), vectors: Any = None) -> Path:
    np.savez(path, words=np.array(words), vectors=np.array(list(WORDS.values()) if vectors is None else vectors))
    return path


def token(tokenizer: Tokenizer, spelling: str) -> int:
    number = tokenizer.token_to_id(spelling)
    assert number is not None
    return int(number)


@pytest.mark.parametrize("form", ["npz", "text", "text with a header"])
def test_tokens_take_the_vectors_of_their_spelling(tokenizer: Tokenizer, tmp_path: Path, form: str) -> None:
    if form == "npz":
        path = as_npz(tmp_path / "vectors.npz")
    else:
        path = as_text(tmp_path / "vectors.txt", "6 3\n" if form == "text with a header" else "")
    embedding = torch.full((700, 3), 7.0)
    known = fill_embedding(embedding, path, tokenizer)
    filled = (embedding != 7.0).any(dim=1)
    assert int(filled.sum()) == known
    directions = torch.nn.functional.normalize(embedding)
    words = {"Ġthe</w>": "the", "The</w>": "the", "ĠThe</w>": "the", "Went</w>": "Went", "Ġgreat</w>": "great"}
    for spelling, word in words.items():
        expected = torch.nn.functional.normalize(torch.tensor(WORDS[word]), dim=0)
        torch.testing.assert_close(directions[token(tokenizer, spelling)], expected)
    torch.testing.assert_close(embedding[filled].square().mean().sqrt(), torch.tensor(3**-0.5))
    lengths = embedding.norm(dim=1)
    ratio = lengths[token(tokenizer, "Went</w>")] / lengths[token(tokenizer, "Ġthe</w>")]
    assert float(ratio) == pytest.approx((10 / 6) ** 0.5)  # one factor for all of them


def test_a_token_that_no_word_ends_with_takes_the_vector_of_no_word(tokenizer: Tokenizer, tmp_path: Path) -> None:
    pieces = [name for name in tokenizer.get_vocab() if name.isalpha() and f"{name}</w>" in tokenizer.get_vocab()]
    assert len(pieces) > 20
    embedding = torch.full((700, 3), 7.0)
    fill_embedding(embedding, as_npz(tmp_path / "vectors.npz", pieces, np.ones((len(pieces), 3))), tokenizer)
    for piece in pieces:
        assert (embedding[token(tokenizer, piece)] == 7.0).all()


def test_names_of_tokens_are_taken_by_their_tokens_alone(tokenizer: Tokenizer, tmp_path: Path) -> None:
    names = ["Ġgreat</w>", "the", "<end>"]
    embedding = torch.full((700, 3), 7.0)
    fill_embedding(embedding, as_npz(tmp_path / "vectors.npz", names, np.ones((3, 3))), tokenizer)
    filled = {tokenizer.id_to_token(row) for row in (embedding != 7.0).any(dim=1).nonzero()[:, 0].tolist()}
    assert filled == {name for name in names if tokenizer.token_to_id(name) is not None}
    assert {"Ġgreat</w>", "<end>"} <= filled


def test_a_run_starts_from_them_and_a_resumed_one_needs_no_file(corpus: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(4, 16))
    path = as_npz(tmp_path / "vectors.npz", vectors=vectors)
    plain, started = Fit(options(), corpus), Fit(options(embeddings=path), corpus)
    changed = (plain.network.embedding != started.network.embedding).any(dim=1)
    assert 4 <= int(changed.sum()) < 20
    expected = train(started, 4)
    broken = Fit(options(embeddings=path), corpus)
    before = train(broken, 2)
    broken.save(tmp_path / "checkpoint.pt")
    path.unlink()
    assert before + train(Fit.load(tmp_path / "checkpoint.pt", corpus), 2) == expected


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("changes", [{"negatives": 64}, {"negatives": 0, "l2": 1e-3}], ids=str)
def test_frozen_embeddings_stay_and_all_else_learns(corpus: Path, optimizer: str, changes: dict[str, Any]) -> None:
    run = Fit(options(freeze_embeddings=True, optimizer=optimizer, **changes), corpus)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    losses = train(run, 40)
    after = run.network.state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] == ["embedding"]
    assert losses[-1] < losses[0] - 0.2


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path.with_name("nowhere.txt"), "There is no file"),
        (lambda path: as_text(path.with_name("v.txt")), "have 3 numbers each, not 16; give --embedding 3"),
        (lambda path: as_text(path.with_name("v.txt"), "6 3\n"), "have 3 numbers each, not 16; give --embedding 3"),
        (as_npz, "have 3 numbers each, not 16; give --embedding 3"),
        (lambda path: as_npz(path, ["zzzzz"], np.ones((1, 16))), "none of the vocabulary's words"),
        (lambda path: as_npz(path, ["the"], np.full((1, 16), np.nan)), "what is no number"),
        (lambda path: as_npz(path, ["the"], np.zeros((1, 16))), "hold nothing"),
        (lambda path: as_npz(path, ["the", "a"], np.ones((1, 16))), "it needs one a word"),
    ],
)
def test_what_cannot_be_read_ends_in_a_sentence(corpus: Path, tmp_path: Path, make: Any, complaint: str) -> None:
    with pytest.raises(TrainingError, match=complaint):
        Fit(options(embeddings=make(tmp_path / "vectors.npz")), corpus)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("v.npz", b"no archive", "is no .npz"),
        ("v.npz", b"", "is no .npz"),
        ("v.txt", b"", "none of the vocabulary's words"),
        ("v.txt", b"the", "have 0 numbers each"),
        ("v.txt", b"the 1 2 3\nof 1 two 3\n", "line 2: could not convert string to float"),
        ("v.txt", b"the 1 2 3\nof 1", "line 2: "),
        ("v.txt", b"the 1 2 3\n1 2 3\n", "line 2: no word and 3 numbers"),
    ],
)
def test_a_damaged_file_ends_in_a_sentence(
    tokenizer: Tokenizer, tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=complaint):
        fill_embedding(torch.zeros(700, 3), tmp_path / name, tokenizer)


def test_an_npz_without_the_two_arrays_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", vectors=np.ones((2, 3)))
    with pytest.raises(TrainingError, match="words"):
        fill_embedding(torch.zeros(700, 3), tmp_path / "v.npz", tokenizer)
