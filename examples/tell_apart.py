"""Tells genres, authors and ratings apart by how probable the model finds a text.

Genres: perplexity by itself. Authors: how probable a text is as the continuation of a sample of each author's, as the
state of the network takes the manner up. Ratings: Bayes' rule over p(text | stars), all stars being alike before.
"""

import math
from itertools import product

from service import Service, parser

GENRES = {
    "review": [
        "The tacos were cheap and fresh, and the salsa had a real kick to it.",
        "Our room smelled of smoke and nobody at the desk seemed to care.",
        "She cut my hair exactly the way I asked and did not rush me at all.",
        "I took my car in for brakes and they tried to sell me four tires.",
    ],
    "recipe": [
        "Whisk the eggs with the sugar until pale, then fold in the sifted flour.",
        "Simmer the onions in butter over low heat for ten minutes until soft.",
        "Season the fish with salt, wrap it in foil and bake it for twenty minutes.",
        "Let the dough rise in a warm place until it has doubled in size.",
    ],
    "news": [
        "The finance minister resigned on Tuesday after parliament rejected the budget for a second time.",
        "Rescue teams searched for survivors overnight as flood water reached the northern suburbs.",
        "Shares in the chip maker fell by six percent after it lowered its forecast for the year.",
        "The two governments agreed to resume talks on the border dispute next month.",
    ],
    "law": [
        "The tenant shall not assign this agreement without the prior written consent of the landlord.",
        "Any dispute arising out of this contract shall be settled by the courts of the seller's domicile.",
        "The liability of the parties is limited to damage caused by gross negligence.",
        "Notice of termination must be given in writing no later than thirty days before the end of the term.",
    ],
}
AUTHORS = {
    "who shouts": [
        "BEST PLACE EVER!!! We go there ALL the time and its ALWAYS packed!!! You HAVE to try the wings!!!",
        "The burgers are HUGE and the fries are the BEST!!!",
        "Our waitress was SO funny!!! We will be back for SURE!!!",
        "Bring the kids, they will LOVE it!!!",
    ],
    "who texts": [
        "been here a few times now n its ok i guess. food comes out fast but they always forget something lol",
        "parking sucks but the pizza is good so w/e",
        "idk why ppl rave about this place tbh",
        "got the tacos again n they were cold lol",
    ],
    "who dines": [
        "The room is handsome, and the cooking follows suit: scallops well judged, a sauce that lacked conviction.",
        "The wine list, though brief, is assembled with evident care.",
        "The lamb was faultless; the pudding, alas, was merely competent.",
        "Service is discreet, if a trifle slow between courses.",
    ],
}
RATED = {
    1: [
        "They lost my luggage and then hung up on me.",
        "Never again. The room had bugs and nobody answered the phone.",
    ],
    2: ["The pasta was bland and they forgot our drinks.", "I wanted to like this place but the soup was cold twice."],
    3: [
        "It was okay, nothing special, but the price is fair.",
        "Decent coffee, average pastries, and the wifi was slow.",
    ],
    4: ["Good burgers and quick service, though it gets loud.", "Solid sushi at a decent price, a bit of a wait."],
    5: ["Best haircut I have had in years, thank you Maria!", "Every dish was perfect and the staff was like family."],
}


def genres(service: Service) -> None:
    perplexities = {genre: [score["perplexity"] for score in service.scores(texts)] for genre, texts in GENRES.items()}
    for genre, values in perplexities.items():
        print(f"{genre:7} perplexity per word: {', '.join(f'{value:.0f}' for value in sorted(values))}")
    for one, other in (("review", "recipe"), ("review", "news"), ("review", "law"), ("law", "news")):
        pairs = list(product(perplexities[one], perplexities[other]))
        below = sum(low < high for low, high in pairs)
        print(f"  {one} below {other}: {below} of {len(pairs)} pairs")


def authors(service: Service) -> None:
    samples = {author: texts[0] for author, texts in AUTHORS.items()}
    alone = service.log_probabilities(list(samples.values()))
    right = 0
    for author, (_, *texts) in AUTHORS.items():
        for text in texts:
            joined = service.log_probabilities([f"{sample}\n\n{text}" for sample in samples.values()])
            gains = {name: a - b for name, a, b in zip(samples, joined, alone, strict=True)}
            guess = max(gains, key=gains.__getitem__)
            right += guess == author
            print(f"{'✓' if guess == author else '✗'} {guess}: {text}")
    print(f"authors: {right} of {sum(len(texts) - 1 for texts in AUTHORS.values())} texts")


def ratings(service: Service) -> None:
    texts = [(stars, text) for stars, pair in RATED.items() for text in pair]
    likelihoods = [service.log_probabilities([text for _, text in texts], stars=stars) for stars in RATED]
    exact = near = 0
    for (stars, text), values in zip(texts, zip(*likelihoods, strict=True), strict=True):
        weights = [math.exp(value - max(values)) for value in values]
        guess = weights.index(max(weights)) + 1
        exact, near = exact + (guess == stars), near + (abs(guess - stars) <= 1)
        print(f"{stars} stars, guessed {guess} ({max(weights) / sum(weights):.0%}): {text}")
    print(f"ratings: {exact} of {len(texts)} exactly, {near} to a star")


def main() -> None:
    service = Service(parser(__doc__).parse_args())
    genres(service)
    authors(service)
    ratings(service)


if __name__ == "__main__":
    main()
