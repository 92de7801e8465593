"""How small the model packs text, beside gzip, bzip2, xz and zstd: of made-up samples, or of a file of reviews."""

import bz2
import json
import lzma
import zlib
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import zstandard
from compress import ARTIFACT, compress, decompress
from tqdm import tqdm

from app.language_model import LanguageModel, load_language_model

OTHERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip -9": lambda content: zlib.compress(content, 9, wbits=31),
    "bzip2 -9": bz2.compress,
    "xz -9": lambda content: lzma.compress(content, preset=9),
    "zstd -19": lambda content: zstandard.compress(content, 19),
}
SAMPLES = {
    "a review": (
        "We came here for my sister's birthday on a Friday night and were seated right away, even though the "
        "place was packed. The calamari was light and crispy, my steak was cooked exactly the way I asked, and "
        "the garlic mashed potatoes were to die for. Our server checked on us often without being pushy and even "
        "brought out a candle for the dessert. The only downside was the parking lot, which is tiny. We will "
        "definitely be back!"
    ),
    "a news item": (
        "The city council voted on Monday to delay the reconstruction of the harbour bridge until next autumn. "
        "Engineers had warned that the northern piers were settling faster than predicted, and the lowest bid "
        "exceeded the budget by eleven million. Ferries will replace the tram line from March, a spokeswoman for "
        "the port authority said."
    ),
    "a line of emoji": "🍕🍕🍕 → 😋 … ¡perfecto! 🎉",
}


def packed(model: LanguageModel, content: bytes) -> int:
    """The bytes it takes, once it is sure that they unpack to the same."""
    data = compress(model, content)
    assert decompress(model, data) == content
    return len(data)


def samples(model: LanguageModel) -> None:
    print(f"{'bytes of':16}{'text':>9}{'model':>9}{''.join(f'{name:>9}' for name in OTHERS)}")
    for name, text in SAMPLES.items():
        content = text.encode()
        sizes = [len(content), packed(model, content), *(len(pack(content)) for pack in OTHERS.values())]
        print(f"{name:16}{''.join(f'{size:9}' for size in sizes)}")
    print("each came back byte for byte")


def measured(model: LanguageModel, contents: list[bytes]) -> dict[str, int]:
    """Bytes in all: by the model each review alone, by the others each alone and all in one file."""
    sizes = {"this model, each review alone": sum(packed(model, content) for content in tqdm(contents))}
    for name, pack in OTHERS.items():
        sizes[f"{name}, each review alone"] = sum(len(pack(content)) for content in contents)
        sizes[f"{name}, all in one file"] = len(pack(b"\n".join(contents)))
    return sizes


def main() -> None:
    arguments = ArgumentParser(description=__doc__)
    arguments.add_argument("--artifact", type=Path, default=ARTIFACT, help="folder of the model")
    arguments.add_argument("--count", type=int, default=300, help="how many reviews of the file")
    arguments.add_argument("reviews", nargs="?", type=Path, help='a JSON object with a "text" a line')
    given = arguments.parse_args()
    model = load_language_model(given.artifact)
    if given.reviews is None:
        samples(model)
        return
    with given.reviews.open() as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(given.count), strict=False)]
    characters = sum(map(len, texts))
    print(f"| {len(texts)} reviews, {characters:,} characters | bytes | bits per character |\n|---|---|---|")
    for name, size in sorted(measured(model, [text.encode() for text in texts]).items(), key=lambda row: row[1]):
        print(f"| {name} | {size:,} | {8 * size / characters:.2f} |")


if __name__ == "__main__":
    main()
