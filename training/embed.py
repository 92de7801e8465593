"""The command that makes embeddings for `train --embeddings`, by counting or by a model that is trained for it."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from training.baselines.ranking import train_ranking
from training.baselines.skip_gram import HierarchicalSoftmax, NegativeSampling, train_skip_gram, word_counts
from training.cooccurrence import write_embeddings
from training.corpus import Split, corpus_vocabulary
from training.embeddings import write_vectors
from training.options import CorpusFolder

Method = Literal["counts", "negative-sampling", "hierarchical-softmax", "ranking"]
SEED = 1


class Embed(CorpusFolder):
    """Make embeddings from the training reviews, for `train --embeddings`."""

    method: Method = Field(
        "counts",
        description="counts of which words meet, skip-gram with either output, or the model that ranks windows",
    )
    minutes: float = Field(2.5, gt=0, description="processor time to train for; counts take what they need")
    embedding: int = Field(256, ge=1, description="numbers that stand for a token")
    destination: Path = Field(Path("runs/embeddings.npz"), description="file that is written")

    def cli_cmd(self) -> None:
        tokenizer, split = corpus_vocabulary(self.corpus), Split(self.corpus, "train")
        if self.method == "counts":
            write_embeddings(split, tokenizer, self.embedding, self.destination)
        else:
            counts = word_counts(split, tokenizer.get_vocab_size())
            (seen,) = torch.where(counts > 0)
            vectors = learnt_vectors(self.method, split, counts, self.embedding, 60 * self.minutes)
            write_vectors(self.destination, tokenizer, seen, vectors[seen])
        print(f"Wrote vectors of {self.embedding} numbers to {self.destination}")


def learnt_vectors(method: Method, split: Split, counts: Tensor, size: int, seconds: float) -> Tensor:
    """Vectors `[V, size]` of a model that is trained for so many seconds; `counts [V]` are those of the text."""
    if method == "ranking":
        return train_ranking(split, len(counts), size, seconds).model.embedding.weight.detach()
    outputs = {"negative-sampling": NegativeSampling, "hierarchical-softmax": HierarchicalSoftmax}
    return train_skip_gram(split, counts, size, outputs[method](counts), seconds).model.vectors
