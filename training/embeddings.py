"""Embeddings that were learnt elsewhere: written to a file, and read into a network's own before it is trained.

Two formats: an .npz of `words [N]` and `vectors [N, E]`, and the text format of word2vec and GloVe, `word v1 … vE` a
line, with or without a first line `N E`. Where the words are the names of the vocabulary's own tokens, each token takes
the vector of its name; where they are plain words, each token that ends a word takes that of its text without the space
before it, or else of that in lower case. A token that has none keeps its random vector.
"""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.errors import TrainingError
from training.vocabulary import SPECIAL_TOKENS, WORD_END

Vector = np.ndarray[Any, np.dtype[np.float32]]


@torch.no_grad()
def fill_embedding(embedding: Tensor, path: Path, tokenizer: Tokenizer) -> int:
    """Puts the vectors of `path` into `embedding [V, E]`; returns how many tokens have one.

    All are multiplied by one number that gives them the spread of the random ones, E^-½: the softmax shares this matrix
    and expects that size.
    """
    names = [str(tokenizer.id_to_token(token)) for token in range(len(embedding))]
    words = [_plain_words(tokenizer, token) if name.endswith(WORD_END) else [] for token, name in enumerate(names)]
    found = _read(path, {*names, *(word for plain in words for word in plain)}, embedding.shape[1])
    if any(word.endswith(WORD_END) or word in SPECIAL_TOKENS for word in found):
        words = [[name] for name in names]
    known = [(token, next((word for word in plain if word in found), None)) for token, plain in enumerate(words)]
    tokens = [token for token, word in known if word is not None]
    if not tokens:
        raise TrainingError(f"{path} has a vector for none of the vocabulary's words; check its language and format.")
    vectors = torch.from_numpy(np.stack([found[word] for _, word in known if word is not None]))
    spread = float(vectors.square().mean().sqrt())
    if not 0 < spread < float("inf"):
        raise TrainingError(f"The vectors of {path} hold nothing, or what is no number; make the file again.")
    embedding[tokens] = (vectors * (embedding.shape[1] ** -0.5 / spread)).to(embedding.device)
    return len(tokens)


def write_vectors(path: Path, tokenizer: Tokenizer, tokens: Tensor, vectors: Tensor) -> None:
    """Writes an .npz of the names of `tokens [N]`, as the vocabulary's file spells them, and their `vectors [N, E]`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    words = np.array([tokenizer.id_to_token(token) for token in tokens.tolist()])
    np.savez(path, words=words, vectors=vectors.numpy())


def _plain_words(tokenizer: Tokenizer, token: int) -> list[str]:
    text = tokenizer.decode([token]).strip()
    return [text, text.lower()] if text else []


def _read(path: Path, wanted: Container[str], size: int) -> dict[str, Vector]:
    if not path.is_file():
        raise TrainingError(f"There is no file {path}; give --embeddings a file of vectors.")
    lines = _npz(path, size) if path.suffix == ".npz" else _text(path, size)
    return {word: vector for word, vector in lines if word in wanted}


def _npz(path: Path, size: int) -> Iterator[tuple[str, Vector]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            words, vectors = arrays["words"], arrays["vectors"].astype(np.float32)
    except (KeyError, ValueError, EOFError, BadZipFile) as error:
        raise TrainingError(f"{path} is no .npz of `words` and `vectors` ({error}); make it again.") from error
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise TrainingError(f"{path} has {len(words)} words and vectors of shape {vectors.shape}; it needs one a word.")
    _check_size(path, vectors.shape[1], size)
    yield from zip(words.tolist(), vectors, strict=True)


def _text(path: Path, size: int) -> Iterator[tuple[str, Vector]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            parts = line.rstrip().split(" ")
            if number == 1:
                header = len(parts) == 2 and all(part.isdecimal() for part in parts)
                _check_size(path, int(parts[1]) if header else len(parts) - 1, size)
                if header:
                    continue
            try:
                vector = np.array(parts[-size:], dtype=np.float32)
            except ValueError as error:
                raise TrainingError(f"{path}, line {number}: {error}; a line is a word and {size} numbers.") from None
            if len(parts) <= size:
                raise TrainingError(f"{path}, line {number}: no word and {size} numbers; the file may be cut off.")
            yield " ".join(parts[:-size]), vector


def _check_size(path: Path, found: int, wanted: int) -> None:
    if found != wanted:
        raise TrainingError(f"The vectors of {path} have {found} numbers each, not {wanted}; give --embedding {found}.")
