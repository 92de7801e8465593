"""Figures by hand on a chain of tokens, and the search against the lists that the service gives."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from app import spelling as served
from app.language_model import LanguageModel, load_language_model
from app.next_word import SuggestedWord, next_words
from tests.app.random_artifact import SENTENCES, write_random_artifact
from tests.app.support import run_alone
from tests.training.toys import END_MARK, Chain
from training import next_words as searching
from training.evaluate import measurable_reviews
from training.next_words import WordSearch, run
from training.reviews import Review
from training.spelling import Spelling, is_word
from training.vocabulary import UNKNOWN_RATING, learn_vocabulary
from training.word_prediction import Guess, Place, guess, measure_word_prediction, places_of

AFTER_A_WORD = {" cat": 0.33, " dog": 0.25, " car": 0.2, " cap": 0.1, ".": 0.07, END_MARK: 0.05}
AT_THE_START = {"cat": 0.65, "dog": 0.35}


@pytest.fixture(scope="module")
def animals() -> Tokenizer:
    return learn_vocabulary(["cat dog car cap.", "dog cat cap car.", "car cap dog cat", "cap car cat dog"] * 3, 600)


@pytest.fixture(scope="module")
def chain(animals: Tokenizer) -> Chain:
    return Chain(animals, AFTER_A_WORD, AT_THE_START)


def test_figures_are_those_worked_out_by_hand(animals: Tokenizer, chain: Chain) -> None:
    reviews = list(measurable_reviews([Review("dog cat cap.")], animals))
    measured = measure_word_prediction(chain, animals, reviews)
    # "dog" is second; " cat" first; " cap" fourth, and third once its "c" is typed.
    assert measured.ranks == [0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert [measured.accuracy(k) for k in (1, 3, 5)] == pytest.approx([1 / 3, 2 / 3, 1])
    assert measured.mean_reciprocal_rank == pytest.approx((1 / 2 + 1 + 1 / 4) / 3)
    # One key each for "dog " and "cat ", "c" and a key for "cap", and the full stop.
    assert measured.characters - measured.keys_saved == 5
    assert measured.keystroke_savings == pytest.approx(7 / 12)
    # "cat" at 0.65 did not come; " cat" at 0.33 came once in four, of which two were a full stop and the end.
    assert measured.calibration[6] == pytest.approx([1, 0.65, 0])
    assert measured.calibration[3] == pytest.approx([4, 4 * 0.33, 1])
    assert measured.calibration.sum() == pytest.approx(1 + 0.65 + 4 + 1.32 + 1)
    assert measured.calibration_error == pytest.approx((0.65 + 4 * (0.33 - 0.25)) / 5, rel=1e-5)
    assert measured.log_probability == pytest.approx(math.log(0.35 * 0.33 * 0.1 * 0.07 * 0.05), rel=1e-6)


def test_figures_are_rounded_for_people(animals: Tokenizer, chain: Chain) -> None:
    reviews = list(measurable_reviews([Review("dog cat cap.")], animals))
    assert measure_word_prediction(chain, animals, reviews).as_dict() == {
        "reviews": 1,
        "words": 3,
        "bits_per_character": round(-math.log2(0.35 * 0.33 * 0.1 * 0.07 * 0.05) / 12, 4),
        "top_1_accuracy": 0.3333,
        "top_3_accuracy": 0.6667,
        "top_5_accuracy": 1.0,
        "mean_reciprocal_rank_at_10": 0.5833,
        "keystroke_savings": 0.5833,
        "keys_without": 12,
        "keys_with": 5,
        "words_by_rank": [1, 1, 0, 1, 0, 0, 0, 0, 0, 0],
        "words_beyond": 0,
        "expected_calibration_error": 0.194,
        "calibration": [
            {"places": 4, "probability": 0.33, "came_true": 0.25},
            {"places": 1, "probability": 0.65, "came_true": 0.0},
        ],
    }


def test_an_impossible_word_is_typed_in_full(animals: Tokenizer, chain: Chain) -> None:
    measured = measure_word_prediction(chain, animals, list(measurable_reviews([Review("dog car\ncap")], animals)))
    assert measured.ranks == [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]  # "cap" cannot come without a space
    assert measured.keys_saved == 3 + 2  # of "dog " and "car"


def place(text: str, space_follows: bool = True) -> Place:
    return Place(0, (7,), text, spaced=True, space_follows=space_follows)


@pytest.mark.parametrize(
    ("typed", "word", "space_follows", "saved"),
    [
        (0, " great", True, 5),  # one key for "great "
        (2, " great", True, 3),
        (2, " great", False, 2),
        (4, " great", False, 0),  # the key costs what the last letter would
        (5, " great", True, 0),  # never offered
        (0, "I", True, 1),
        (0, "I", False, 0),
    ],
)
def test_a_key_accepts_a_word_and_the_space_after_it(typed: int, word: str, space_follows: bool, saved: int) -> None:
    assert Guess(place(word, space_follows), 0.5, True, 1, typed).keys_saved == saved


def test_many_reviews_are_measured_as_each_alone(animals: Tokenizer, chain: Chain) -> None:
    texts = ["dog cat cap.", "cat", "dog dog. car", "cat cap cap cap car"] * 12
    reviews = list(measurable_reviews(map(Review, texts), animals))
    together = measure_word_prediction(chain, animals, reviews)
    alone = [measure_word_prediction(chain, animals, [review]) for review in reviews]
    assert together.ranks == np.sum([each.ranks for each in alone], axis=0).tolist()
    assert together.keys_saved == sum(each.keys_saved for each in alone)
    assert together.characters == sum(map(len, texts))
    assert together.log_probability == pytest.approx(sum(each.log_probability for each in alone))
    np.testing.assert_allclose(together.calibration, sum(each.calibration for each in alone))


def test_places_are_between_words_marks_and_white_space(tokenizer: Tokenizer) -> None:
    text = "It's 5.  Café\nI"
    tokens = [UNKNOWN_RATING, *tokenizer.encode(text).ids, 6]
    places = places_of(tokenizer, tokens)
    assert [each.text for each in places.values()] == ["It's", " 5", ".", " ", " Café", "\n", "I", ""]
    assert [each.spaced for each in places.values()] == [False, True, True, None, True, True, False, True]
    assert [each.space_follows for each in places.values()] == [True, False, True, True, False, False, False, False]
    for before, each in places.items():
        assert tuple(tokens[before + 1 : before + 1 + len(each.tokens)]) == each.tokens
        assert tokenizer.decode(list(each.tokens)) == each.text


# ---- against the service ----

WRITTEN = [*SENTENCES, "O'Brien won't wait there again.", "The staff\nis fresh", "Their fish 5 times", "Überall"]


@pytest.fixture(scope="module", params=[1, 2])
def random_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    directory: Path = tmp_path_factory.mktemp("random")
    write_random_artifact(directory, seed=request.param)
    return load_language_model(directory)


class Served:
    """The lists that the service gives at a place of a text."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.spelling = model, served.Spelling(model.vocabulary)

    def list(self, before: str, typed: str, k: int) -> list[SuggestedWord]:
        return run_alone(self.model, next_words(self.model, self.spelling, before, typed, k, None, False)).words

    def rank(self, before: str, word: str, typed: str, k: int) -> int:
        words = [each.word for each in self.list(before, typed, k)]
        return words.index(word) + 1 if word in words else 0

    def typed(self, before: str, word: str) -> int:
        lists = (self.rank(before, word, word[:typed], 3) for typed in range(len(word)))
        return next((typed for typed, rank in enumerate(lists) if rank), len(word))


def guesses_of(model: LanguageModel, text: str) -> list[Guess]:
    """What the evaluation makes of every place of a text, in order."""
    tokenizer = model.vocabulary._tokenizer
    spelling, tokens = Spelling(tokenizer), [UNKNOWN_RATING, *model.vocabulary.encode(text), model.vocabulary.end]
    scores, _, _ = model.score(
        torch.tensor([tokens[1:]]),
        torch.tensor([len(tokens) - 1]),
        model.step(torch.tensor(tokens[:1]), model.initial_state(1))[1],
        False,
    )
    tasks, state = [], model.initial_state(1)
    after = [model.step(torch.tensor([tokens[0]]), state)]
    for token in tokens[1:-1]:
        after.append(model.step(torch.tensor([token]), after[-1][1]))
    for before, each in places_of(tokenizer, tokens).items():
        end = before + len(each.tokens)
        score = float(scores[0, before:end].sum())
        search = WordSearch(spelling, after[before][0][0], after[before][1][0])
        tasks.append(guess(search, each, score, spelling.hidden_until(each.tokens)))
    return sorted(run(model, spelling, tasks), key=lambda found: found.place.before)


@pytest.mark.parametrize("text", WRITTEN)
def test_ranks_and_letters_are_those_of_the_served_lists(random_model: LanguageModel, text: str) -> None:
    service, place = Served(random_model), 0
    words = 0
    for found in guesses_of(random_model, text):
        start = place + found.place.text.startswith(" ")
        place += len(found.place.text)
        word = text[start:place]
        if is_word(found.place.text) and (text[:start].endswith(" ") or text[start - 1 : start].isspace() or not start):
            words += 1
            assert found.rank == service.rank(text[:start], word, "", 10), word
            assert found.typed == service.typed(text[:start], word), word
    assert words >= 1


@pytest.mark.parametrize("text", WRITTEN)
def test_the_first_suggestion_is_the_served_one(random_model: LanguageModel, text: str) -> None:
    service, place = Served(random_model), 0
    for found in guesses_of(random_model, text):
        (first,) = service.list(text[:place], "", 1)
        assert found.probability == pytest.approx(first.probability, rel=1e-5)
        assert found.came_true == (found.place.text.removeprefix(" ") == first.word)
        place += len(found.place.text)


def test_a_search_that_gives_up_flatters_nobody(random_model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = [found for text in SENTENCES for found in guesses_of(random_model, text)]
    monkeypatch.setattr(searching, "MOST", 3)
    hasty = [found for text in SENTENCES for found in guesses_of(random_model, text)]
    assert [found.probability for found in hasty] == [found.probability for found in exact]
    assert all(short.keys_saved <= long.keys_saved for short, long in zip(hasty, exact, strict=True))
    assert all(short.rank in (long.rank, 0) for short, long in zip(hasty, exact, strict=True))
    assert [found.typed for found in hasty] != [found.typed for found in exact]
