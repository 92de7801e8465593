"""The next word: the model's exact top k, though a word may be several tokens.

What stands before the word is read first, out of the caches as far as they go, then `app/word_search.py` searches for
words among their spellings. With letters typed so far, what follows each of these is kept for the next letter.
"""

import itertools
import math
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from app import context
from app.calls import Advance, Advanced, Task
from app.language_model import LanguageModel
from app.ranking import Ranked, TokenSet
from app.spelling import APOSTROPHES, Spelling, is_letter
from app.word_cache import Following, Place, has_own_memory
from app.word_search import LEAST, Node, WordSearch, kinds_of

MAX_TURNS = 64
"""Calls after which what was found is returned; only a prefix that fits no word gets here."""


class SuggestedWord(NamedTuple):
    word: str
    probability: float


class NextWords(NamedTuple):
    words: list[SuggestedWord]
    context_tokens: int
    cached_tokens: int


def next_words(
    model: LanguageModel, spelling: Spelling, text: str, prefix: str, k: int, stars: int | None, punctuation: bool
) -> Task[NextWords]:
    """Finds the `k` most probable words after `text` that begin with `prefix`."""
    complete, prefix = _split_prefix(model.vocabulary.pre_tokens(prefix)) if prefix else ("", "")
    before, spaced = _split_context(text, complete, prefix)
    opening = model.vocabulary.opening(stars)
    if prefix and not is_letter(prefix[0]) and not punctuation:
        return NextWords([], 1 + len(model.vocabulary.encode(before)), cached_tokens=0)
    typed = (spaced[0] + prefix).encode() if prefix else b""
    begins = spelling.beginnings(spaced, punctuation, typed)
    place = Place(opening, before)
    start, tokens, cached = yield from _start(model, place, None if typed else begins, keeps=bool(typed))
    if start.ranked and not complete and (words := _of_a_token_each(spelling, start.ranked, k, punctuation)):
        return NextWords(words, tokens, cached)
    search = WordSearch(model, spelling, typed, k, punctuation)
    search.begin(start, begins)
    for _ in range(MAX_TURNS):
        nodes = search.to_extend()
        if not nodes:
            break
        sets = search.extensions(nodes)
        among = sets if search.covers(nodes) else ()
        search.extend(nodes, sets, (yield from _extended(model, place, nodes, among, keeps=bool(typed))))
    words = [SuggestedWord(complete + word, probability) for word, probability in search.found()]
    return NextWords(words, tokens, cached)


def _start(model: LanguageModel, place: Place, among: TokenSet | None, keeps: bool) -> Task[tuple[Following, int, int]]:
    """What follows a text, how many tokens it has, and how many of those were not run."""
    if found := model.words.begin(place, among):
        following, tokens = found
        return following, tokens, tokens
    read = yield from context.read(model, place.opening, place.text, [among] if among else [])
    following = _followings(read.last)[0]
    # Before a word's first letter nobody knows that letters will come: kept if that needs no copy.
    if keeps or has_own_memory(following.log_probabilities):
        model.words.keep(place, following, read.tokens)
    return following, read.tokens, read.cached_tokens


def _extended(
    model: LanguageModel, place: Place, nodes: Sequence[Node], among: Sequence[TokenSet], keeps: bool
) -> Task[list[Following]]:
    """What follows each of the spellings `nodes` behind a text, with the best tokens of its set if there are sets."""
    places = [place._replace(spelling=node.tokens) for node in nodes]
    known = dict(enumerate(map(model.words.find, places, among or itertools.repeat(None))))
    new = [number for number, following in known.items() if not following]
    if new:
        run, states = [[nodes[number].tokens[-1]] for number in new], [nodes[number].parent_state for number in new]
        advanced: Advanced = yield Advance(run, states, [among[number] for number in new] if among else ())
        for number, following in zip(new, _followings(advanced), strict=True):
            known[number] = following
            if keeps:
                model.words.keep(places[number], following)
    return [following for following in known.values() if following]


def _followings(advanced: Advanced) -> list[Following]:
    """What follows each row, with its best tokens where these were asked for."""
    ranked = advanced.best or itertools.repeat(None)
    return list(map(Following, advanced.log_probabilities, advanced.states, ranked))


def _split_prefix(parts: list[str]) -> tuple[str, str]:
    """Splits what is typed, as in "ice-cr", into what is complete and the beginning of a word or mark."""
    if len(parts) > 1 and parts[-1] in APOSTROPHES and is_letter(parts[-2][-1]):
        parts = [*parts[:-2], parts[-2] + parts[-1]]  # "don'" is the beginning of a word
    if len(parts) > 1 and not is_letter(parts[-1][0]):
        parts = [*parts, ""]  # after "ice-" comes another word
    return "".join(parts[:-1]), parts[-1] if parts else ""


def _split_context(text: str, complete: str, prefix: str) -> tuple[str, tuple[str, ...]]:
    """Returns the context to condition on, and what stands before the word there: a space, nothing, or either.

    With a prefix it is known which; a single space at the end of the text is the next word's own.
    """
    if complete:
        before, spaced = _split_context(text, "", complete)
        return before + spaced[0] + complete, ("",)
    if text.endswith(" "):
        return text.removesuffix(" "), (" ",)
    if not text or text[-1].isspace() or (prefix and not is_letter(prefix[0])):
        return text, ("",)
    if unicodedata.category(text[-1])[0] in "LMN":
        return text, (" ",)
    return text, ("",) if prefix else (" ", "")


def _of_a_token_each(spelling: Spelling, ranked: Ranked, k: int, punctuation: bool) -> list[SuggestedWord] | None:
    """The first `k` words where no unfinished spelling is as probable, which a search would find as well, later."""
    kinds = kinds_of(punctuation)
    found: dict[str, float] = {}
    for token, log_probability in zip(ranked.tokens, ranked.log_probabilities, strict=True):
        if not spelling.ends[token] or log_probability <= LEAST:
            return None
        if (spelled := spelling.words[token]) and spelled[1] in kinds:
            found.setdefault(spelled[0], math.exp(log_probability))
            if len(found) == k:
                return list(itertools.starmap(SuggestedWord, found.items()))
    return None
