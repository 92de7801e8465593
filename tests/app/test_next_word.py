"""The search against brute force on a tiny model, and what a suggestion looks like on the shipped one."""

import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from app.language_model import LanguageModel, load_language_model
from app.next_word import SuggestedWord, next_words
from app.spelling import Spelling
from app.word_search import NEGLIGIBLE
from tests.app.random_artifact import write_random_artifact
from tests.app.support import run_alone

CONTEXTS = ["", "The food was", "The food", "I don't think that", "We loved the café", "great.\n", "it's 5"]

EXACT = 1e-5
"""Float32 log-probabilities add up to 1 within about a millionth, of which a word's end is a small part."""


def suggest(
    model: LanguageModel,
    text: str,
    prefix: str = "",
    k: int = 5,
    *,
    stars: int | None = None,
    punctuation: bool = False,
    spelling: Spelling | None = None,
) -> list[SuggestedWord]:
    spelling = spelling or Spelling(model.vocabulary)
    return run_alone(model, next_words(model, spelling, text, prefix, k, stars, punctuation)).words


class BruteForce:
    """Follows every spelling that is probable enough, one token at a time, judging text by the pre-tokeniser alone."""

    def __init__(self, model: LanguageModel, context: str, stars: int | None = None) -> None:
        self.model, self.vocabulary = model, model.vocabulary
        tokens = torch.tensor([[self.vocabulary.opening(stars), *self.vocabulary.encode(context)]])
        scores, self.state = model.advance(tokens, torch.tensor([tokens.shape[1]]), model.initial_state(1))
        self.scores = scores[0]

    def words(self, begin: str, typed: str, least: float) -> dict[str, float]:
        """Every word behind `begin` (a space or nothing) that starts with `typed` and is likelier than `least`."""
        found = {}
        wanted = (begin + typed).encode()
        for tokens, text, likely in self._spellings((), b"", 1.0, self.scores, self.state, wanted, least):
            word = text.decode(errors="replace").removeprefix(begin)
            if (
                text.startswith(wanted)
                and self._is_word(begin, text)
                and self.vocabulary.encode(begin + word) == tuple(tokens)
            ):
                found[word] = likely
        return found

    def covering(self, typed: bytes) -> float:
        """The probability of everything that begins with `typed`, however it is spelled."""
        return self._covering(b"", self.scores, self.state, typed)

    def _spellings(
        self,
        tokens: tuple[int, ...],
        text: bytes,
        probability: float,
        scores: Tensor,
        state: Tensor,
        wanted: bytes,
        least: float,
    ) -> Iterator[tuple[list[int], bytes, float]]:
        for token, score in self._likely(scores, least / probability):
            grown = text + self.vocabulary.token_bytes[token]
            if not (grown.startswith(wanted) or wanted.startswith(grown)) or not self._is_one(grown):
                continue
            if self.vocabulary.ends_part[token]:
                yield [*tokens, token], grown, probability * math.exp(score)
                continue
            after, following = self.model.step(torch.tensor([token]), state)
            yield from self._spellings(
                (*tokens, token), grown, probability * math.exp(score), after[0], following, wanted, least
            )

    def _likely(self, scores: Tensor, least: float) -> list[tuple[int, float]]:
        tokens = (scores > math.log(least)).nonzero()[:, 0].tolist()
        return [(token, float(scores[token])) for token in tokens if token not in self.vocabulary.special]

    def _is_one(self, text: bytes) -> bool:
        """Whether this is one pre-token, or may yet be: nothing that brute force follows ends inside a character."""
        try:
            return len(self.vocabulary.pre_tokens(text.decode())) == 1
        except UnicodeDecodeError:
            return False

    def _is_word(self, begin: str, text: bytes) -> bool:
        whole = text.decode()
        return whole.startswith(begin) and whole[len(begin) :][:1].isalpha()

    def _covering(self, text: bytes, scores: Tensor, state: Tensor, typed: bytes) -> float:
        total = 0.0
        for token, piece in enumerate(self.vocabulary.token_bytes):
            grown, probability = text + piece, math.exp(float(scores[token]))
            if not piece or probability < 1e-12:
                continue
            if grown == typed or (grown.startswith(typed) and self._is_one(grown)):
                total += probability
            elif typed.startswith(grown) and not self.vocabulary.ends_part[token]:
                after, following = self.model.step(torch.tensor([token]), state)
                total += probability * self._covering(grown, after[0], following, typed)
        return total


@pytest.fixture(scope="module", params=[1, 2])
def random_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    directory: Path = tmp_path_factory.mktemp("random")
    write_random_artifact(directory, seed=request.param)
    return load_language_model(directory)


def _space_before_word(text: str) -> str:
    return " " if text and (text[-1].isalnum() or text[-1] == " ") else ""


def assert_same(found: list[SuggestedWord], expected: dict[str, float], k: int, tolerance: float) -> None:
    """The first k of `expected`, which must hold all that is more probable than the last of `found`."""
    best = sorted(expected.items(), key=lambda entry: -entry[1])[:k]
    assert [each.probability for each in found] == pytest.approx([value for _, value in best], rel=tolerance)
    for each in found:  # words of equal probability may stand in either order
        assert each.probability == pytest.approx(expected[each.word], rel=tolerance)
    assert len({each.word for each in found}) == len(found)


@pytest.mark.parametrize("text", CONTEXTS)
def test_words_and_probabilities_are_those_of_brute_force(random_model: LanguageModel, text: str) -> None:
    found = suggest(random_model, text, k=10)
    assert len(found) == 10
    brute = BruteForce(random_model, text.removesuffix(" "))
    expected = brute.words(_space_before_word(text), "", found[-1].probability * 0.999)
    assert_same(found, expected, 10, EXACT)


@pytest.mark.parametrize("prefix", ["", "ice-", "pick-", "s", "th"])
@pytest.mark.parametrize("punctuation", [False, True])
@pytest.mark.parametrize("text", CONTEXTS)
def test_a_few_words_are_the_first_of_many(
    model: LanguageModel, spelling: Spelling, text: str, prefix: str, punctuation: bool
) -> None:
    # Many are always searched for; a few often are the best tokens as they come.
    many = suggest(model, text, prefix, 40, punctuation=punctuation, spelling=spelling)
    for k in (1, 3):
        few = suggest(model, text, prefix, k, punctuation=punctuation, spelling=spelling)
        assert len(few) == k
        assert few == many[:k]
        assert all(each.word.startswith(prefix) for each in few)


@settings(max_examples=15)
@given(before=st.text(st.characters(exclude_categories=["Cs"]), max_size=20), word=st.sampled_from(["food", "we", "5"]))
def test_after_any_text_words_are_those_of_brute_force(random_model: LanguageModel, before: str, word: str) -> None:
    text = f"{before} {word}"
    found = suggest(random_model, text, k=5)
    expected = BruteForce(random_model, text).words(" ", "", found[-1].probability * 0.999)
    assert_same(found, expected, 5, EXACT)


@pytest.mark.parametrize("stars", [1, 5])
def test_the_rating_conditions_the_words(random_model: LanguageModel, stars: int) -> None:
    found = suggest(random_model, "The staff", stars=stars)
    expected = BruteForce(random_model, "The staff", stars).words(" ", "", found[-1].probability * 0.999)
    assert_same(found, expected, 5, EXACT)
    assert found != suggest(random_model, "The staff")


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("The food was", "g"),
        ("The food was", "th"),
        ("The", "st"),
        ("", "T"),
        ("", "W"),
        ("I", "don'"),
        ("I", "d"),
        ("We loved the", "caf"),
        ("We loved the", "café"),
        ("great.\n", "D"),
        ("The food ", "wasn"),
        ("it's 5", "f"),
    ],
)
def test_with_a_prefix_probabilities_are_given_the_prefix(random_model: LanguageModel, text: str, prefix: str) -> None:
    found = suggest(random_model, text, prefix, k=4)
    begin, brute = _space_before_word(text), BruteForce(random_model, text.removesuffix(" "))
    whole = brute.covering((begin + prefix).encode())
    least = (found[-1].probability * 0.999 if len(found) == 4 else 1e-4) * whole
    expected = {word: likely / whole for word, likely in brute.words(begin, prefix, least).items()}
    assert found
    assert_same(found, expected, 4, NEGLIGIBLE)
    assert all(each.word.startswith(prefix) for each in found)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("The chicken was moist", "and"),
        ("My wife's dad and her", "daught"),
        ("The food was", "de"),
        ("I had to wait", "for"),
        ("We", "corp"),
        ("I am so", "hap"),
    ],
)
def test_of_words_that_fit_the_prefix_only_negligible_ones_are_left_out(
    model: LanguageModel, spelling: Spelling, text: str, prefix: str
) -> None:
    found = suggest(model, text, prefix, k=50, spelling=spelling)
    brute = BruteForce(model, text)
    whole = brute.covering(f" {prefix}".encode())
    expected = {word: likely / whole for word, likely in brute.words(" ", prefix, NEGLIGIBLE * whole).items()}
    assert_same(found, expected, 50, NEGLIGIBLE)
    assert min(each.probability for each in found) > NEGLIGIBLE


def test_after_a_mark_a_word_may_follow_with_a_space_or_without(random_model: LanguageModel) -> None:
    text = "The food was great,"
    found = suggest(random_model, text, k=8)
    brute, least = BruteForce(random_model, text), found[-1].probability * 0.999
    without, spaced = brute.words("", "", least), brute.words(" ", "", least)
    likelier = {word: max(without.get(word, 0.0), spaced.get(word, 0.0)) for word in without | spaced}
    assert_same(found, likelier, 8, EXACT)


def test_fifty_words(random_model: LanguageModel) -> None:
    found = suggest(random_model, "The food was", k=50)
    assert len(found) == 50
    assert found[:10] == suggest(random_model, "The food was", k=10)
    expected = BruteForce(random_model, "The food was").words(" ", "", found[-1].probability * 0.999)
    assert_same(found, expected, 50, EXACT)


@settings(max_examples=25, deadline=None)
@given(
    text=st.one_of(
        st.sampled_from(["", "The food was", "I", "¡Qué", "It's 5", "so good!", 'He said "', "Great.\n", "a  ", "😀"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    ),
    k=st.integers(1, 50),
)
def test_a_suggestion_is_a_whole_word(model: LanguageModel, spelling: Spelling, text: str, k: int) -> None:
    found = suggest(model, text, k=k, spelling=spelling)
    assert 0 < len(found) <= k
    for each in found:
        assert model.vocabulary.pre_tokens(each.word) == [each.word]
        assert each.word[0].isalpha()
        assert "\ufffd" not in each.word
        assert not each.word.startswith("<")
    assert len({each.word for each in found}) == len(found)
    probabilities = [each.probability for each in found]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1 + EXACT
    assert min(probabilities) > 0


def test_bytes_of_other_alphabets_make_whole_words_or_none(tmp_path: Path) -> None:
    """With pieces of characters as probable as anything, marks and digits spelled in pieces are no words either."""
    write_random_artifact(tmp_path, pieces=3.0)
    model = load_language_model(tmp_path)
    for text in CONTEXTS:
        for punctuation in (False, True):
            for each in suggest(model, text, k=50, punctuation=punctuation):
                assert model.vocabulary.pre_tokens(each.word) == [each.word]
                assert not each.word.isspace()
                assert punctuation or unicodedata.category(each.word[0])[0] in "LM"


def test_a_space_at_the_end_changes_nothing(model: LanguageModel, spelling: Spelling) -> None:
    for text in ("The food was", "I don't", "Table 5", "the café"):
        assert suggest(model, text + " ", spelling=spelling) == suggest(model, text, spelling=spelling)
        assert suggest(model, text + " ", "th", spelling=spelling) == suggest(model, text, "th", spelling=spelling)


def test_the_shipped_model_finds_what_people_write(model: LanguageModel, spelling: Spelling) -> None:
    assert "great" in {each.word for each in suggest(model, "The food was", k=10, spelling=spelling)}
    assert "The" in {each.word for each in suggest(model, "", k=10, spelling=spelling)}


@pytest.mark.parametrize(
    ("text", "prefix", "word"),
    [
        ("The food was", "gre", "great"),
        ("I", "don'", "don't"),
        ("I", "don't", "don't"),
        ("", "Th", "The"),
        ("", "TH", "THE"),
        ("We sat in the", "caf", "café"),
        ("I love their", "ice-cr", "ice-cream"),
        ("I love their", "ice-", "ice-cream"),
        ("I love their ice-", "cr", "cream"),
        ("We ate at", "O'Brie", "O'Brien"),
        ("I", "don’", "don’t"),
    ],
)
def test_a_word_goes_on_from_what_was_typed(
    model: LanguageModel, spelling: Spelling, text: str, prefix: str, word: str
) -> None:
    found = [each.word for each in suggest(model, text, prefix, k=50, spelling=spelling)]
    assert word in found
    assert all(each.startswith(prefix) for each in found)


def test_what_was_typed_before_the_last_word_belongs_to_the_context(model: LanguageModel, spelling: Spelling) -> None:
    whole = suggest(model, "I love their", "ice-cr", spelling=spelling)
    parts = suggest(model, "I love their ice-", "cr", spelling=spelling)
    assert [("ice-" + each.word, each.probability) for each in parts] == [(e.word, e.probability) for e in whole]
    assert suggest(model, "I love their ", "ice-cr", spelling=spelling) == whole


@pytest.mark.parametrize("prefix", ["!", "(", "5", "\u0000", "😀"])
def test_where_nothing_fits_there_is_nothing(model: LanguageModel, spelling: Spelling, prefix: str) -> None:
    assert suggest(model, "The food was", prefix, spelling=spelling) == []


def test_punctuation_comes_only_when_asked_for(model: LanguageModel, spelling: Spelling) -> None:
    text = "The food was great"
    without = suggest(model, text, k=50, spelling=spelling)
    assert all(each.word[0].isalpha() for each in without)
    found = suggest(model, text, k=50, punctuation=True, spelling=spelling)
    marks = {each.word for each in found if not each.word[0].isalpha()}
    assert {".", ","} <= marks
    assert all(mark.strip() == mark and not mark.isalnum() for mark in marks)
    words = [each for each in found if each.word[0].isalpha()]
    assert words == without[: len(words)]
    dots = suggest(model, text, ".", punctuation=True, spelling=spelling)
    assert dots
    assert all(each.word.startswith(".") for each in dots)


def test_a_prefix_that_no_word_has_ends_in_time(model: LanguageModel, spelling: Spelling) -> None:
    found = suggest(model, "The", "qzxjkvwq" * 12, spelling=spelling)
    assert all(each.word.startswith("qzxjkvwq" * 12) for each in found)


def test_the_context_is_counted_with_its_opening(model: LanguageModel, spelling: Spelling) -> None:
    found = run_alone(model, next_words(model, spelling, "The food was", "", 1, None, False))
    assert found.context_tokens == 1 + len(model.vocabulary.encode("The food was"))


def test_the_words_that_are_a_token_each_are_those_that_are_looked_up(model: LanguageModel, spelling: Spelling) -> None:
    assert len(spelling.words) == model.vocabulary.size
    for token in range(0, model.vocabulary.size, 7):
        assert spelling.words[token] == (spelling.word((token,)) if spelling.ends[token] else None)
    words = [(token, word) for token, word in enumerate(spelling.words) if word]
    assert len(words) > model.vocabulary.size / 2
    for token, (word, _) in words:
        text = model.vocabulary.token_bytes[token].decode()
        assert model.vocabulary.pre_tokens(text) == [text]
        assert text.removeprefix(" ") == word
