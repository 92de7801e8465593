"""Breaks a substitution cipher: the key under which the text is most probable as a review.

The model writes reviews, and their letters give n-gram counts; simulated annealing (Kirkpatrick et al. 1983) over the
key by those is fast and comes near. The model itself, by `/score`, then chooses among its results and improves them.
"""

import math
import random
import string
import sys
from collections import Counter
from functools import cache
from itertools import combinations

from service import Service, parser

TEXT = (
    "the waiter was very friendly and the food came out quickly but the soup was cold so we will not come back here "
    "again with my family"
)
LETTERS = string.ascii_lowercase
ORDER = 4
SMOOTHING = 5.0
STEPS, HOT, COLD = 8000, 10.0, 1.0
SWAPS = 63
"""Swaps that the model itself is asked about at a time: those that the letters are most for."""


def letters_only(text: str) -> str:
    return " ".join("".join(c if c in LETTERS else " " for c in text.lower().replace("'", "")).split())


def enciphered(text: str, seed: int) -> str:
    key = list(LETTERS)
    random.Random(seed).shuffle(key)
    return text.translate(str.maketrans(LETTERS, "".join(key)))


def swapped(text: str, one: str, other: str) -> str:
    return text.translate(str.maketrans(one + other, other + one))


def reviews(service: Service) -> list[str]:
    """What the model itself writes: some 6,000 characters."""
    answers = [service.post("/generate", n=4, max_tokens=120, temperature=1, top_p=1, seed=seed) for seed in range(4)]
    return [review["text"] for answer in answers for review in answer["reviews"]]


class LetterModel:
    """Letters given the three before, each order smoothed by the one below (Dirichlet prior; MacKay & Peto 1995)."""

    def __init__(self, sample: str) -> None:
        self.by_frequency = "".join(letter for letter, _ in Counter(LETTERS + sample.replace(" ", "")).most_common())
        grams = [sample[end - size : end] for size in range(ORDER + 1) for end in range(size, len(sample) + 1)]
        self._counts = Counter(grams)
        self.log_probability = cache(lambda gram: math.log(self._probability(gram)))

    def _probability(self, gram: str) -> float:
        if not gram:
            return 1 / (len(LETTERS) + 1)
        smoothed = self._counts[gram] + SMOOTHING * self._probability(gram[1:])
        return smoothed / (self._counts[gram[:-1]] + SMOOTHING)

    def score(self, text: str) -> float:
        padded = " " * (ORDER - 1) + text
        return sum(self.log_probability(padded[end - ORDER : end]) for end in range(ORDER, len(padded) + 1))


def annealed(text: str, model: LetterModel, rng: random.Random) -> str:
    """The text under a key that the letter model finds probable; the key is searched by swapping two letters."""
    frequent = "".join(letter for letter, _ in Counter(text.replace(" ", "") + LETTERS).most_common())
    text = text.translate(str.maketrans(frequent, model.by_frequency))
    score = model.score(text)
    for step in range(STEPS):
        temperature = HOT * (COLD / HOT) ** (step / STEPS)
        proposal = swapped(text, *rng.sample(LETTERS, 2))
        change = model.score(proposal) - score
        if change > 0 or rng.random() < math.exp(change / temperature):
            text, score = proposal, score + change
    return text


def climbed(service: Service, text: str, model: LetterModel) -> str:
    """Swaps two letters for as long as that makes the text more probable as a review."""
    while True:
        swaps = {swapped(text, *pair) for pair in combinations(LETTERS, 2)} - {text}
        proposals = [text, *sorted(swaps, key=lambda swap: (-model.score(swap), swap))[:SWAPS]]
        scores = dict(zip(proposals, service.log_probabilities(proposals), strict=True))
        if (best := max(proposals, key=scores.__getitem__)) == text:
            return text
        text = best


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--text", default=TEXT, help="to encipher, and decipher again")
    arguments.add_argument("--seed", type=int, default=1, help="of the key")
    arguments.add_argument("--runs", type=int, default=3, help="of the annealing")
    given = arguments.parse_args()
    service = Service(given)
    text = letters_only(given.text)
    cipher = enciphered(text, given.seed)
    model = LetterModel(letters_only(" ".join(reviews(service))))
    candidates = [annealed(cipher, model, random.Random(run)) for run in range(given.runs)]
    near = max(zip(service.log_probabilities(candidates), candidates, strict=True))[1]
    found = climbed(service, near, model)
    print(f"by letters: {near}", file=sys.stderr)
    wrong = sum(a != b for a, b in zip(found, text, strict=True))
    print(f"{cipher}\n→ {found}\n{wrong} of {len(text)} characters are wrong")


if __name__ == "__main__":
    main()
