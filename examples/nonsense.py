"""Spots gibberish and spam among reviews by bits per character: too many is no review, too few is a repetition."""

from service import Service, parser

MOST, LEAST = 2.1, 0.6
"""Bits per character of what may pass; sentences of real reviews have about 1.3."""
TEXTS = {
    "review": [
        "Great little place for breakfast. The pancakes were fluffy and the coffee kept coming.",
        "The mechanic showed me the worn part before he replaced it, and the bill was lower than the estimate.",
        "Worst haircut of my life. I asked for a trim and she took off four inches.",
        "Checked in late and the room was not ready, but they upgraded us to a suite for free.",
        "ok so the wings r good but its super loud n u cant hear ur friends at all",
        "Dr. Okonkwo-Lindqvist re-cemented my crown in Schenectady.",
    ],
    "keyboard": ["asdf jkl; qwer uiop zxcv bnm asdf", "fffgh ghhhjk trtrt kjkjk lolpo wqwq", "hjkahsd kjashdk ajshd kajshd"],
    "shuffled": [
        "coffee the kept pancakes and were place coming. fluffy for breakfast. Great the little",
        "not ready the but in they Checked and free. us suite upgraded late room a was for to",
    ],
    "advert": [
        "Cheap rolex replica watches, free shipping worldwide, click www.best-replica-4u.biz now!",
        "Earn $5000/week from home!!! No skills needed, WhatsApp +1 555 0100, crypto bonus 200%",
        "Buy followers, likes and SEO backlinks at the lowest price, visit our profile link.",
    ],
    "repeated": ["Good good good good good good good good good good good good good good good.", "Very nice place. " * 8],
    "fake praise": ["Amazing service and great food! Highly recommend this place to everyone! Will definitely be back!"],
}


def main() -> None:
    service = Service(parser(__doc__).parse_args())
    found = {True: 0, False: 0}
    for kind, texts in TEXTS.items():
        for text, score in zip(texts, service.scores(texts, tokens=True), strict=True):
            bits = score["bits_per_character"]
            odd = not LEAST < bits < MOST
            found[kind == "review"] += odd
            strange = min(score["token_scores"], key=lambda token: token["log_probability"])["text"].strip()
            print(f"{'ODD' if odd else 'ok ':3} {bits:5.2f}  {kind:11} {text[:60]!r:64} least expected: {strange!r}")
    others = sum(map(len, TEXTS.values())) - len(TEXTS["review"])
    print(f"found odd: {found[False]} of {others} that are no reviews, {found[True]} of {len(TEXTS['review'])} reviews")


if __name__ == "__main__":
    main()
