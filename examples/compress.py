"""Packs text without loss by the model's probabilities, and unpacks it again.

A token of probability p costs -log2 p bits (Shannon 1948): bits per character are the model's cross entropy, in bytes
on disk. Encoder and decoder need the probabilities of all tokens to the last bit, which is more than the HTTP routes
tell, so this one example loads the artifact as the service does.
"""

import zlib
from argparse import ArgumentParser
from pathlib import Path

import torch
from arithmetic_coding import Decoder, Encoder

from app.errors import StartupError
from app.language_model import LanguageModel, load_language_model

ARTIFACT = Path(__file__).parents[1] / "model"
SCALE = 2.0**24
CHECK_BYTES = 4
"""Of the checksum before the code."""


class Predictor:
    """The model, read token by token; each token has a share of the whole numbers up to `total`."""

    def __init__(self, model: LanguageModel) -> None:
        self._model, self._state = model, model.initial_state(1)
        self.take(model.vocabulary.opening(None))

    def take(self, token: int) -> None:
        log_probabilities, self._state = self._model.step(torch.tensor([token]), self._state)
        # One more for each token, so that the least probable one can be coded, too.
        self._ends = ((log_probabilities[0].double().exp() * SCALE).long() + 1).cumsum(0)
        self.total = int(self._ends[-1])

    def share(self, token: int) -> tuple[int, int, int]:
        return int(self._ends[token - 1]) if token else 0, int(self._ends[token]), self.total

    def token_at(self, number: int) -> int:
        """Whose share the number is in."""
        return int(torch.searchsorted(self._ends, number, right=True))


def compress(model: LanguageModel, content: bytes) -> bytes:
    """A checksum and the code of UTF-8; raises UnicodeDecodeError for anything else."""
    predictor, encoder = Predictor(model), Encoder()
    for token in [*model.vocabulary.encode(content.decode()), model.vocabulary.end]:
        encoder.narrow(*predictor.share(token))
        predictor.take(token)
    return checksum(model, content) + encoder.finish()


def decompress(model: LanguageModel, data: bytes) -> bytes:
    """Raises ValueError if what comes out is not what went in."""
    predictor, decoder, content = Predictor(model), Decoder(data[CHECK_BYTES:]), bytearray()
    while (token := predictor.token_at(decoder.target(predictor.total))) != model.vocabulary.end:
        content += model.vocabulary.token_bytes[token]
        decoder.narrow(*predictor.share(token))
        predictor.take(token)
    if checksum(model, content) != data[:CHECK_BYTES]:
        raise ValueError("This was packed with another model or on another kind of processor, or is damaged.")
    return bytes(content)


def checksum(model: LanguageModel, content: bytes | bytearray) -> bytes:
    """CRC-32 of the model's name and the text."""
    return zlib.crc32(content, zlib.crc32(model.name.encode())).to_bytes(CHECK_BYTES, "big")


def main() -> None:
    arguments = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--artifact", type=Path, default=ARTIFACT, help="folder of the model")
    arguments.add_argument("action", choices=["pack", "unpack"])
    arguments.add_argument("source", type=Path)
    arguments.add_argument("destination", type=Path)
    given = arguments.parse_args()
    try:
        model, content = load_language_model(given.artifact), given.source.read_bytes()
        result = compress(model, content) if given.action == "pack" else decompress(model, content)
        given.destination.write_bytes(result)
    except UnicodeDecodeError:
        raise SystemExit(f"{given.source} is not UTF-8, which is all that can be packed.") from None
    except (StartupError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    print(f"{len(content):,} bytes in, {len(result):,} out")


if __name__ == "__main__":
    main()
