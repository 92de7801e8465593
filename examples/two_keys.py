"""Writes with two keys, for hands that can press no more: before or after, as in a dictionary, until one thing is left.

Dasher (Ward, Blackwell & MacKay 2000) has its user steer through an alphabet in which what is probable is large. Here
what may come next, words and letters in alphabetical order, is halved by probability: a choice takes about as many
presses as it has bits of surprise. `--write` has a made-up user write a text, and counts presses.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from service import Service, parser

WORD, MARKS = re.compile(r"[A-Za-z][A-Za-z']*"), ".,!?;:"
RARE = 0.01
"""Weight of finishing and of taking back; of the letters of words that are not listed, at least, all together."""


@dataclass(frozen=True)
class Option:
    """Something to choose: what is written then, and the letters of an unfinished word after it."""

    label: str
    weight: float
    text: str
    letters: str = ""
    finish: bool = False

    @property
    def written(self) -> str:
        return joined(self.text, self.letters)


Choose = Callable[[list[Option], list[Option]], bool]
"""Whether what is wanted is in the first of two lists."""


def joined(text: str, word: str) -> str:
    return f"{text} {word}".strip() if WORD.match(word) else text + word


def options(service: Service, now: Option, before: Option | None) -> list[Option]:
    """Words as the model expects them, letters for all others, and the ways out and back; in alphabetical order."""
    text, letters = now.text, now.letters
    context = f"{text} ".lstrip() if letters else text
    suggestions = service.post("/next-word", text=context, prefix=letters, k=50, punctuation=True)["suggestions"]
    words = {letters: 0.0} if letters else dict.fromkeys(MARKS, 0.0)
    words |= {each["word"]: each["probability"] for each in suggestions}
    words = {word: share for word, share in words.items() if WORD.fullmatch(word) or word in MARKS}
    alphabet = string.ascii_letters + "'" * bool(letters)
    share = max(1 - sum(words.values()), RARE) / len(alphabet)
    found = [Option(word, value + RARE / 100, joined(text, word)) for word, value in words.items()]
    found += [Option(f"{letters}{letter}…", share, text, letters + letter) for letter in alphabet]
    found += [Option("(finish)", RARE, text, finish=True)] if not letters else []
    found += [Option("(take back)", RARE, before.text, before.letters)] if before else []
    return sorted(found, key=lambda option: (option.label[0].isalpha(), option.label.casefold()))


def halves(choices: list[Option]) -> tuple[list[Option], list[Option]]:
    """Cut where both are about as probable."""
    sums = list(accumulate(option.weight for option in choices))
    cut = min(range(1, len(choices)), key=lambda place: abs(sums[place - 1] - sums[-1] / 2))
    return choices[:cut], choices[cut:]


def write(service: Service, in_first: Choose) -> tuple[str, int]:
    """What was written until somebody chose to finish, and by how many presses."""
    history, presses = [Option("", 1.0, "")], 0
    while not history[-1].finish:
        choices = options(service, history[-1], history[-2] if len(history) > 1 else None)
        while len(choices) > 1:
            first, second = halves(choices)
            choices = first if in_first(first, second) else second
            presses += 1
        if choices[0].label == "(take back)":
            history.pop()
        else:
            history.append(choices[0])
    return history[-1].text, presses


def asked(first: list[Option], second: list[Option]) -> bool:
    """Asks whoever sits at the keyboard; shows where each list begins and ends, and what is most probable in it."""
    for number, choices in enumerate((first, second), 1):
        likely = sorted(choices, key=lambda option: -option.weight)[:5]
        ends = f"{choices[0].label} – {choices[-1].label}" if len(choices) > 1 else choices[0].label
        print(f"{number}  {ends:30} {'   '.join(option.label for option in likely)}")
    while (key := input("> ").strip()) not in {"1", "2"}:
        print("Press 1 or 2, and enter.")
    if len(chosen := first if key == "1" else second) == 1:
        print(f"\n{chosen[0].written}▌")
    return chosen is first


class Copyist:
    """Somebody made up who writes `wanted`, and each time looks for what brings most of it."""

    def __init__(self, wanted: str) -> None:
        parts = re.findall(rf"{WORD.pattern}|[{MARKS}]", wanted)
        text = ""
        for part in parts:
            text = joined(text, part)
        if text != wanted:
            raise SystemExit(f"--write: what can be written are words of a–z and the marks {MARKS}, as in {text!r}.")
        self._wanted, self._presses = wanted, ""

    def __call__(self, first: list[Option], second: list[Option]) -> bool:
        best = max([*first, *second], key=self._brings)
        chosen = first if best in first else second
        self._presses += "1" if chosen is first else "2"
        if len(chosen) == 1:
            print(f"{self._presses:>20}  {best.label}")
            self._presses = ""
        return chosen is first

    def _brings(self, option: Option) -> int:
        """How much of what is wanted is written then; nothing where that goes on in another way."""
        if option.finish:
            return 2 * len(self._wanted) + 2 if option.text == self._wanted else -1
        rest = self._wanted.removeprefix(option.written)
        in_word = rest[:1].isalpha() or rest[:1] == "'"
        if not self._wanted.startswith(option.written) or (in_word and not option.letters):
            return -1
        return len(option.written) * 2 + (not option.letters)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--write", metavar="TEXT", help="have a made-up user write it")
    given = arguments.parse_args()
    in_first = asked if given.write is None else Copyist(given.write)
    try:
        text, presses = write(Service(given), in_first)
    except (EOFError, KeyboardInterrupt):
        raise SystemExit("\nEnded before (finish) was chosen.") from None
    print(f"{text}\n{presses} presses for {len(text)} characters, {presses / max(len(text), 1):.2f} for each")


if __name__ == "__main__":
    main()
