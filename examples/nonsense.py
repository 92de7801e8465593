"""Spots gibberish and spam among reviews by bits per character, and names the token that was least expected."""

import json
from itertools import islice
from pathlib import Path

from service import Service, parser

MOST = 2.1
"""Bits per character of what may pass; reviews have about 1.3 on average."""
TEXTS = {
    "review": [
        "Great little place for breakfast. The pancakes were fluffy and the coffee kept coming.",
        "The mechanic showed me the worn part before he replaced it, and the bill was lower than the estimate.",
        "Worst haircut of my life. I asked for a trim and she took off four inches.",
        "Checked in late and the room was not ready, but they upgraded us to a suite for free.",
        "ok so the wings r good but its super loud n u cant hear ur friends at all",
        "Dr. Okonkwo-Lindqvist re-cemented my crown in Schenectady.",
    ],
    "keyboard": [
        "asdf jkl; qwer uiop zxcv bnm asdf",
        "fffgh ghhhjk trtrt kjkjk lolpo wqwq",
        "hjkahsd kjashdk ajshd kajshd",
    ],
    "shuffled": [
        "coffee the kept pancakes and were place coming. fluffy for breakfast. Great the little",
        "not ready the but in they Checked and free. us suite upgraded late room a was for to",
    ],
    "advert": [
        "Cheap rolex replica watches, free shipping worldwide, click www.best-replica-4u.biz now!",
        "Earn $5000/week from home!!! No skills needed, WhatsApp +1 555 0100, crypto bonus 200%",
        "Buy followers, likes and SEO backlinks at the lowest price, visit our profile link.",
    ],
    "repeated": [
        "Good good good good good good good good good good good good good good good.",
        "Very nice place. " * 8,
    ],
    "fake praise": [
        "Amazing service and great food! Highly recommend this place to everyone! Will definitely be back!"
    ],
}


def odd(bits_per_character: float) -> bool:
    return bits_per_character > MOST


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--reviews", type=Path, help='file of real ones, a JSON object with a "text" a line')
    given = arguments.parse_args()
    service = Service(given)
    if given.reviews:
        with given.reviews.open() as lines:
            scores = service.scores([json.loads(line)["text"] for line in islice(lines, 400)])
        print(f"odd: {sum(odd(score['bits_per_character']) for score in scores)} of {len(scores)} reviews")
        return
    found = {True: 0, False: 0}
    for kind, texts in TEXTS.items():
        for text, score in zip(texts, service.scores(texts, tokens=True), strict=True):
            found[kind == "review"] += odd(bits := score["bits_per_character"])
            strange = min(score["token_scores"], key=lambda token: token["log_probability"])["text"].strip()
            shown = text if len(text) <= 50 else f"{text[:49]}…"
            print(f"{'odd' if odd(bits) else '':4}{bits:.2f}  {kind:12} {shown:50}  {strange}".rstrip())
    others = sum(map(len, TEXTS.values())) - len(TEXTS["review"])
    print(f"odd: {found[False]} of {others} that are no reviews, {found[True]} of {len(TEXTS['review'])} reviews")


if __name__ == "__main__":
    main()
