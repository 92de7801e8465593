"""Embeddings from counts: the singular vectors of how much more often words meet than chance would have it.

Levy & Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization", with the settings that Levy, Goldberg &
Dagan 2015 found best: of two tokens w and c at most `WINDOW` apart, n(w, c) times, weighted by 1 / distance,

    M(w, c) = max(0, ln n(w, c) - ln n(w) - ln p(c)),  p(c) = n(c)^¾ / Σ n(c')^¾,  M ≈ U S Vᵀ,  vectors = U √S

The training reviews suffice for it, in a minute or two; `--embeddings` reads what it makes.
"""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.corpus import Split
from training.embeddings import write_vectors
from training.errors import TrainingError

WINDOW = 4
COUNTED_TOKENS = 20_000_000
"""The first so many tokens of a corpus are counted."""


def write_embeddings(split: Split, tokenizer: Tokenizer, size: int, path: Path) -> None:
    """Writes the vectors `[V, size]` of all tokens, for `--embeddings`."""
    vocabulary_size = tokenizer.get_vocab_size()
    if size > vocabulary_size:
        raise TrainingError(f"A vocabulary of {vocabulary_size} tokens gives vectors of no more numbers than that.")
    vectors = singular_vectors(positive_information(meetings(split, vocabulary_size)), size)
    write_vectors(path, tokenizer, torch.arange(vocabulary_size), vectors)


def meetings(split: Split, vocabulary_size: int) -> Tensor:
    """Counts n(w, c), `[V, V]`, sparse and symmetric."""
    ends = split.offsets[split.offsets <= COUNTED_TOKENS]
    tokens = split.tokens[: ends[-1]].astype(np.int64)
    review = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    torch.sparse.check_sparse_tensor_invariants.disable()  # the default, but torch warns until it is said
    total = torch.zeros(vocabulary_size, vocabulary_size, layout=torch.sparse_coo)
    for distance in range(1, WINDOW + 1):
        together = review[distance:] == review[:-distance]
        keys, counts = np.unique(
            tokens[:-distance][together] * vocabulary_size + tokens[distance:][together], return_counts=True
        )
        places = torch.from_numpy(np.stack(np.divmod(keys, vocabulary_size)))
        total = total + torch.sparse_coo_tensor(places, torch.from_numpy(counts / distance).float(), total.shape)
    return (total + total.t()).coalesce()


def positive_information(counts: Tensor) -> Tensor:
    """The positive pointwise mutual information M of the counts, `[V, V]`, sparse."""
    of_word = torch.sparse.sum(counts, dim=1).to_dense()
    smoothed = of_word**0.75
    row, column = counts.indices()
    values = counts.values().log() - of_word.log()[row] - (smoothed / smoothed.sum()).log()[column]
    return torch.sparse_coo_tensor(counts.indices(), values.clamp_min(0), counts.shape).coalesce()


def singular_vectors(matrix: Tensor, size: int) -> Tensor:
    """U √S of the `size` largest singular values (by a random projection: Halko et al. 2011)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        left, singular, _ = torch.svd_lowrank(matrix, q=min(size + 16, len(matrix)), niter=2)
    return left[:, :size] * singular[:size].sqrt()
