"""Re-ranks what a speech recogniser and a translator propose by how probable the model finds each sentence.

The noisy channel (Brown et al. 1993; Jelinek 1998): of all sentences e for what came in, f, the best has the largest
log p(f | e) + weight · log p(e). The first is the recogniser's or translator's own score, here made up; the second is
the model's. The sentence that is right stands first in each list, and the program does not know.
"""

from service import Service, parser

HEARD = [
    {
        "We ate there last night and the steak was raw.": -14.1,
        "We eight their last knight and the stake was raw.": -12.0,
        "We ate there last night and the stake was raw.": -12.9,
        "Wheat there last night and the steak was raw.": -12.4,
    },
    {
        "The waiter filled my glass once.": -9.5,
        "The weighter fill my glass ones.": -8.1,
        "The waiter filled my class once.": -8.8,
        "The waiter fill my glass ones.": -8.4,
    },
    {
        "I would not buy another car here.": -8.0,
        "I wood knot bye another car hear.": -7.2,
        "I would not by another car here.": -7.4,
    },
    {
        "Their prices are fair and the staff is great.": -10.9,
        "They're prices are fare and the staff is grate.": -10.2,
        "There prices are fair in the staff is great.": -10.3,
        "Their prices are fare and the staff is great.": -10.5,
    },
    {
        "The dessert was too sweet for me.": -7.9,
        "The desert was two sweet for me.": -7.1,
        "The desert was too sweet for me.": -7.2,
    },
    {
        "My suite had a view of the sea.": -8.3,
        "Mice wheat had a view of the see.": -7.7,
        "My sweet had a view of the sea.": -7.9,
    },
    {
        "Ask for Wynn at the front desk.": -6.0,
        "Ask for when at the front desk.": -6.1,
        "Ask for him at the front desk.": -7.5,
    },
]
TRANSLATED = [
    {  # Das Essen war ausgezeichnet, aber die Bedienung war langsam.
        "The food was excellent, but the service was slow.": -7.0,
        "The eating was distinguished, but the operation was slow.": -5.9,
        "The meal was excellent, but the operation was slow.": -6.4,
    },
    {  # Ich habe das Zimmer für zwei Nächte gebucht.
        "I booked the room for two nights.": -5.1,
        "I have the room for two nights booked.": -3.6,
        "I have the space for two nights booked.": -3.9,
    },
    {  # Leider mussten wir eine Stunde warten.
        "Unfortunately we had to wait an hour.": -4.4,
        "Unfortunately must we one hour wait.": -3.1,
        "Sorry we had one hour to wait.": -4.0,
    },
    {  # Der Verkäufer war sehr hilfsbereit und hat mich gut beraten.
        "The salesman was very helpful and gave me good advice.": -8.2,
        "The seller was very helpful and has me good advised.": -6.0,
        "The salesman was very helpful and has well advised me.": -7.1,
    },
    {  # Wir kommen sicher wieder.
        "We will definitely come back.": -4.9,
        "We come safely again.": -3.5,
        "We will surely come again.": -4.2,
    },
]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--weight", type=float, default=1.0, help="of the model's log-probability")
    given = arguments.parse_args()
    service = Service(given)
    for task, lists in {"recogniser": HEARD, "translator": TRANSLATED}.items():
        before = after = 0
        for scores in lists:
            prior = dict(zip(scores, service.log_probabilities(list(scores)), strict=True))
            right, first = next(iter(scores)), max(scores, key=scores.__getitem__)
            best = max(scores, key=lambda text: scores[text] + given.weight * prior[text])
            before, after = before + (first == right), after + (best == right)
            print(f"{first}\n  {'→' if best == right else '✗'} {best}")
        print(f"first is right: {before} of {len(lists)} by the {task} alone, {after} with the model")


if __name__ == "__main__":
    main()
