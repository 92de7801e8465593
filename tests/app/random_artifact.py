"""An artifact so small that everything it can say is enumerated: random weights, scaled up until it has opinions."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from app.language_model import Vocabulary
from training.export import script, write_sums
from training.network import Network, NetworkOptions
from training.vocabulary import learn_vocabulary, save_vocabulary

SENTENCES = [
    "The food was great and the staff didn't make us wait.",
    "I don't think that we'd go there again, it's too far.",
    "We loved the café, the crème brûlée and the ice-cream!",
    "Don't order the fish; they'll tell you it is fresh.",
    "The waiter was nice but the food wasn't, there is that.",
]
SIZE = 640


def write_random_artifact(directory: Path, seed: int = 1, pieces: float = -40, **description: Any) -> None:
    """Writes a model of random weights; `description` replaces fields of the artifact's description of itself.

    `pieces` is the bias of tokens that are pieces of characters: by default they are all but ruled out, so that what
    they could become needs no enumeration.
    """
    tokenizer = learn_vocabulary(SENTENCES * 20, SIZE)
    save_vocabulary(tokenizer, directory / "vocab.json")
    about: dict[str, Any] = {
        "format_version": 2,
        "vocabulary_sha256": hashlib.sha256((directory / "vocab.json").read_bytes()).hexdigest(),
        "tokens": {"opening_unrated": 0, "opening_by_stars": [1, 2, 3, 4, 5], "end": 6},
        "model": f"tiny-{seed}",
        **description,
    }
    torch.manual_seed(seed)
    network = Network(NetworkOptions(embedding=32, hidden=32), tokenizer.get_vocab_size())
    with torch.no_grad():
        network.embedding.mul_(3)
        network.projection.weight.mul_(6)
        network.bias[_with_pieces_of_characters(Vocabulary(tokenizer, about["tokens"]))] = pieces
    path, extra = str(directory / "language_model.pt"), {"description.json": json.dumps(about)}
    torch.jit.save(script(network), path, _extra_files=extra)
    write_sums(directory)


def _with_pieces_of_characters(vocabulary: Vocabulary) -> list[int]:
    """Tokens that begin or end inside a character."""
    return [token for token, piece in enumerate(vocabulary.token_bytes) if "\ufffd" in piece.decode(errors="replace")]
