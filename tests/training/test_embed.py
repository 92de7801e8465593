from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from tests.training.test_fit import options
from training.__main__ import main
from training.corpus import Split
from training.embed import Method
from training.fit import Fit


@pytest.mark.parametrize("method", get_args(Method))
def test_a_run_starts_from_the_vectors_of_any_method(
    corpus: Path, tokenizer: Tokenizer, tmp_path: Path, method: str
) -> None:
    path = tmp_path / "new folder" / "vectors.npz"
    arguments = [f"--corpus={corpus}", f"--method={method}", "--minutes=0.005", "--embedding=16"]
    assert main(["embed", *arguments, f"--destination={path}"]) == 0
    with np.load(path) as arrays:
        names, vectors = arrays["words"].tolist(), torch.from_numpy(arrays["vectors"])
    tokens = [tokenizer.token_to_id(name) for name in names]
    if method != "counts":  # which has a vector for every token
        assert tokens == np.unique(Split(corpus, "train").tokens).tolist()
    fit = Fit(options(embeddings=path), corpus)
    expected = vectors * 0.25 / vectors.square().mean().sqrt()
    torch.testing.assert_close(fit.network.embedding.detach()[tokens], expected)
