"""Made-up reviews: nobody wrote them, so that the tests need no review data, and none is ever published."""

import json
import random
from pathlib import Path
from typing import Any

PLACES = ["restaurant", "bakery", "café", "hotel", "garage", "salon", "bar", "diner", "clinic", "bookshop"]
THINGS = [
    "soup",
    "service",
    "coffee",
    "room",
    "haircut",
    "burger",
    "music",
    "price",
    "staff",
    "parking",
    "crème brûlée",
]
GOOD = ["great", "friendly", "fresh", "quick", "lovely", "perfect", "warm", "generous"]
BAD = ["cold", "slow", "rude", "stale", "overpriced", "dirty", "bland", "noisy"]
PRAISE = [
    "I'll be back!",
    "Can't wait to return.",
    "Highly recommended :)",
    "We loved every minute.",
    "5 stars from us.",
]
BLAME = ["Never again.", "I want my money back!!", "Don't bother...", "We left after 20 minutes.", "What a shame."]
OPENERS = ["Went there on {day}.", "This {place} is near my house.", "My wife's favorite {place}.", "First visit here,"]
CLAUSES = ["the {thing} was {quality}", "their {thing} is {quality}", "I found the {thing} rather {quality}"]
JOINS = [" and ", ", but ", "; ", " while "]
DAYS = ["Monday", "a rainy Tuesday", "my birthday", "the 4th of July", "Sunday morning"]


def made_up_reviews(count: int, seed: int) -> list[dict[str, Any]]:
    """Composes `count` records as Yelp's JSON has them: `review_id`, `stars` from 1 to 5 or None, and `text`."""
    chance = random.Random(seed)
    return [_review(chance, f"{seed}-{number}") for number in range(count)]


def write_json_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    """Writes records as Yelp does, one JSON object a line; returns the path."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def _review(chance: random.Random, review_id: str) -> dict[str, Any]:
    stars = chance.choice([1, 2, 3, 4, 5])
    sentences = [chance.choice(OPENERS), *(_sentence(chance, stars) for _ in range(chance.randint(1, 4)))]
    sentences.append(chance.choice(PRAISE if stars > 3 else BLAME))
    text = chance.choice([" ", "\n\n"]).join(sentences)
    text = text.format(place=chance.choice(PLACES), day=chance.choice(DAYS))
    return {"review_id": review_id, "stars": chance.choice([stars, stars, stars, None]), "text": text}


def _sentence(chance: random.Random, stars: int) -> str:
    clauses = [
        chance.choice(CLAUSES).format(
            thing=chance.choice(THINGS), quality=chance.choice(GOOD if chance.random() * 5 < stars - 0.5 else BAD)
        )
        for _ in range(chance.randint(1, 3))
    ]
    sentence = chance.choice(JOINS).join(clauses)
    return sentence[0].upper() + sentence[1:] + chance.choice([".", ".", "!"])
