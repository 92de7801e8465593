"""Puts words into order, as the last step of generating text from data does (surface realisation).

Beam search: a sentence grows by one word of those left at a time, and the most probable beginnings are kept.
"""

from collections import Counter

from service import Service, parser

SENTENCES = [
    "The waiter was very friendly.",
    "I would not recommend this place to anyone.",
    "We had to wait almost an hour for our food.",
    "My wife ordered the salmon and I had the steak.",
    "The room was clean but the walls were paper thin.",
]


def beginnings(service: Service, texts: list[str]) -> dict[str, float]:
    """The log-probability of each text as the beginning of a review: without the mark that ends it."""
    scores = service.scores(texts, tokens=True)
    return {
        text: sum(token["log_probability"] for token in score["token_scores"][:-1])
        for text, score in zip(texts, scores, strict=True)
    }


def ordered(service: Service, words: list[str], width: int) -> list[str]:
    """The most probable sentences of these words, the best first."""
    beam = [""]
    for _ in words:
        longer = sorted({f"{text} {word}".strip() for text in beam for word in left(words, text)})
        scores = beginnings(service, longer)
        beam = sorted(longer, key=lambda text: -scores[text])[:width]
    whole = dict(zip(beam, service.log_probabilities([f"{text}." for text in beam]), strict=True))
    return [f"{text}." for text in sorted(beam, key=lambda text: -whole[text])]


def left(words: list[str], text: str) -> list[str]:
    return list((Counter(words) - Counter(text.split())).elements())


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--width", type=int, default=16, help="beginnings that are kept")
    arguments.add_argument("words", nargs="*", help="to put into order, instead of those of the examples")
    given = arguments.parse_args()
    service = Service(given)
    if given.words:
        print("\n".join(ordered(service, given.words, given.width)[:3]))
        return
    for sentence in SENTENCES:
        words = sorted(sentence.removesuffix(".").split(), key=str.casefold)
        found = ordered(service, words, given.width)
        print(f"{', '.join(words)}\n  → {found[0]}")
        if found[0] != sentence:
            place = f"number {found.index(sentence) + 1}" if sentence in found else "not found"
            print(f"  ✗ as it was written: {sentence} ({place})")


if __name__ == "__main__":
    main()
