import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.batch import CHUNK
from app.language_model import LanguageModel
from app.scoring import ScoredText
from tests.app.support import run_alone, run_together, score_all

LONG = "The waiter brought us the wrong order twice and nobody said a word about it. " * 8
TEXTS = ["I loved it.", "it loved I .", "!", " ", "Crème brûlée 😀\n\nfor $12!", LONG]


def score_one(model: LanguageModel, text: str, stars: int | None = None) -> ScoredText:
    return run_alone(model, score_all(model, [text], stars, True))[0]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("stars", [None, 4])
def test_each_token_has_its_log_probability_and_rank(model: LanguageModel, text: str, stars: int | None) -> None:
    scored = score_one(model, text, stars)
    vocabulary = model.vocabulary
    tokens = [*vocabulary.encode(text), vocabulary.end]
    opening = torch.tensor([[vocabulary.opening(stars)]])
    log_probabilities, state = model.advance(opening, torch.tensor([1]), model.initial_state(1))
    for token, told in zip(tokens, scored.tokens, strict=True):
        own = log_probabilities[0, token]
        assert told.log_probability == float(own)
        assert told.rank == int((log_probabilities[0] > own).sum()) + 1
        log_probabilities, state = model.step(torch.tensor([token]), state)
    assert scored.log_probability == pytest.approx(sum(told.log_probability for told in scored.tokens), rel=1e-12)


def test_some_texts_are_longer_than_a_chunk(model: LanguageModel) -> None:
    assert len(model.vocabulary.encode(LONG)) > 3 * CHUNK


@settings(max_examples=20, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_offsets_slice_the_text(model: LanguageModel, text: str) -> None:
    scored = score_one(model, text)
    end_mark = scored.tokens[-1]
    assert (end_mark.text, end_mark.start, end_mark.end) == ("", len(text), len(text))
    covered = 0
    for token in scored.tokens[:-1]:
        assert token.text == text[token.start : token.end]
        assert token.start <= covered <= token.end  # no gap; two pieces of a character stand at the same place
        covered = token.end
    assert covered == len(text)
    assert scored.characters == len(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I loved it.", 4),
        ("I don't.", 3),
        ("it  loved\n\nI .", 4),
        ("$12!", 4),
        ("Great...", 2),
        (" ", 0),
        ("Crème brûlée 😀", 3),
    ],
)
def test_words_are_words_punctuation_marks_and_the_end_mark(model: LanguageModel, text: str, words: int) -> None:
    assert score_one(model, text).words == words + 1


def test_the_figures_follow_from_the_log_probability(model: LanguageModel) -> None:
    scored = score_one(model, "I loved it.")
    tokens = len(model.vocabulary.encode("I loved it.")) + 1
    assert (scored.words, len(scored.tokens), scored.characters) == (5, tokens, 11)
    assert scored.perplexity == pytest.approx(math.exp(-scored.log_probability / 5))
    assert scored.perplexity == pytest.approx(2 ** -(scored.log_probability / math.log(2) / 5))
    assert scored.token_perplexity == pytest.approx(math.exp(-scored.log_probability / tokens))
    assert scored.bits_per_character == pytest.approx(-math.log2(math.exp(scored.log_probability)) / 11)


def test_a_sentence_is_less_surprising_than_its_words_in_disorder(model: LanguageModel) -> None:
    ordered, disordered = (score_one(model, text).perplexity for text in ("I loved the food.", "food the loved. I"))
    assert ordered < disordered


def test_ratings_change_the_scores(model: LanguageModel) -> None:
    text = "Horrible service, never again."
    assert score_one(model, text, 1).log_probability > score_one(model, text, 5).log_probability


def test_a_text_scores_the_same_bits_among_others(model: LanguageModel) -> None:
    alone = [score_one(model, text) for text in TEXTS]
    assert run_alone(model, score_all(model, TEXTS, None, True)) == alone
    many = run_together(model, [score_all(model, [text] * 5, None, True) for text in TEXTS])
    assert many == [[each] * 5 for each in alone]


def test_ranks_are_told_only_when_asked_for_whoever_else_asks(model: LanguageModel) -> None:
    asked, unasked = run_together(model, [score_all(model, ["I loved it."], None, ranks) for ranks in (True, False)])
    assert min(token.rank for token in asked[0].tokens) >= 1
    assert {token.rank for token in unasked[0].tokens} == {0}
    assert [t.log_probability for t in asked[0].tokens] == [t.log_probability for t in unasked[0].tokens]
