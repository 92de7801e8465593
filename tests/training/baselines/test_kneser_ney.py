import itertools
import math
import random
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.baselines.kneser_ney import (
    FALLBACK,
    START,
    KneserNey,
    discounts,
    kneser_ney_scorer,
    main,
    token_stream,
)
from training.corpus import Split
from training.errors import TrainingError
from training.evaluate import evaluate, measurable_split
from training.vocabulary import END

VOCABULARY = 20
NEVER_SEEN = 19
Reviews = list[list[int]]


def some_reviews(count: int, seed: int) -> Reviews:
    """Reviews that like to go on to the next token, so that long n-grams repeat; some are empty."""
    chance = random.Random(seed)
    reviews: Reviews = []
    for _ in range(count):
        review = [chance.randrange(END + 1, NEVER_SEEN)] if chance.random() < 0.95 else []
        while review and chance.random() < 0.9:
            favourite = END + 1 + review[-1] % (NEVER_SEEN - END - 1)
            review.append(favourite if chance.random() < 0.6 else chance.randrange(END + 1, NEVER_SEEN))
        reviews.append(review)
    return reviews


def in_a_row(reviews: Reviews, opening: int = START) -> NDArray[np.int64]:
    return np.array([token for review in reviews for token in (opening, *review, END)])


class ByTheFormula:
    """The same model from dictionaries, term by term."""

    def __init__(self, reviews: Reviews, order: int) -> None:
        plain: Counter[tuple[int, ...]] = Counter()
        for review in reviews:
            tokens = (START, *review, END)
            spans = itertools.combinations(range(len(tokens) + 1), 2)
            plain.update(tokens[start:end] for start, end in spans if end - start <= order)
        del plain[(START,)]
        before = defaultdict(set)
        for ngram in plain:
            before[ngram[1:]].add(ngram[0])
        self.counts: dict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
        for ngram, count in plain.items():
            whole = len(ngram) == order or ngram[0] == START
            self.counts[ngram[:-1]][ngram[-1]] = count if whole else len(before[ngram])
        self.discounts = {n: self._discounts(n) for n in range(1, order + 1)}

    def _discounts(self, order: int) -> list[float]:
        n = Counter(count for context, of in self.counts.items() if len(context) == order - 1 for count in of.values())
        if not (n[1] and n[2] and n[3]):
            return [0.5, 1.0, 1.5]
        y = n[1] / (n[1] + 2 * n[2])
        found = [1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
        return found if min(found) >= 0 else [0.5, 1.0, 1.5]

    def p(self, token: int, context: tuple[int, ...]) -> float:
        shorter = self.p(token, context[1:]) if context else float(token >= END) / (VOCABULARY - END)
        counts = self.counts.get(context)
        if not counts:
            return shorter
        discount = self.discounts[len(context) + 1]
        withheld = sum(discount[min(count, 3) - 1] for count in counts.values())
        own = counts[token] - discount[min(counts[token], 3) - 1] if token in counts else 0.0
        return (own + withheld * shorter) / sum(counts.values())


# ---- the formula ----


def test_a_toy_corpus_agrees_with_pencil_and_paper() -> None:
    a, b, c = 7, 8, 9
    model = KneserNey.estimate(in_a_row([[a, b], [a, b], [a, c]]), order=2, vocabulary_size=10)
    # Bigrams: start a 3, a b 2, a c 1, b end 2, c end 1; n = 2, 2, 1, 0; Y = 1/3; D = 1/3, 3/2, 3.
    # Tokens by what they follow: a 1, b 1, c 1, end 2, which is too few counts; D = 1/2, 1, 3/2; γ() = (3/2 + 1) / 5.
    np.testing.assert_allclose(model.discounts, [[1 / 2, 1, 3 / 2], [1 / 3, 3 / 2, 3]])
    p_a = p_b = p_c = (1 - 1 / 2) / 5 + 1 / 2 * 1 / 4
    p_end = (2 - 1) / 5 + 1 / 2 * 1 / 4
    # γ(start) = 3/3, γ(a) = (3/2 + 1/3) / 3 = 11/18, γ(b) = (3/2) / 2, γ(c) = (1/3) / 1; nothing follows end.
    expected = {
        (START, a): 0 + p_a,
        (START, c): 0 + p_c,
        (a, b): (2 - 3 / 2) / 3 + 11 / 18 * p_b,
        (a, c): (1 - 1 / 3) / 3 + 11 / 18 * p_c,
        (b, END): (2 - 3 / 2) / 2 + 3 / 4 * p_end,
        (b, c): 3 / 4 * p_c,
        (c, END): (1 - 1 / 3) / 1 + 1 / 3 * p_end,
        (END, b): p_b,
    }
    found = model.log_probabilities(np.array(list(expected)))
    np.testing.assert_allclose(np.exp(found[:, 0]), list(expected.values()), rtol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_agrees_with_the_formula_term_by_term(order: int) -> None:
    reviews = some_reviews(400, seed=1)
    model = KneserNey.estimate(in_a_row(reviews), order, VOCABULARY)
    formula = ByTheFormula(reviews, order)
    np.testing.assert_allclose(model.discounts, list(formula.discounts.values()))
    for review in [*some_reviews(60, seed=2), [NEVER_SEEN, 8, 9, 10, 11]]:
        tokens = (START, *review, END)
        expected = [formula.p(tokens[t], tokens[max(0, t - order + 1) : t]) for t in range(1, len(tokens))]
        np.testing.assert_allclose(np.exp(model.log_probabilities(np.array(tokens))), expected, rtol=1e-5)


def test_the_discounts_of_a_large_corpus_are_estimated() -> None:
    # These counts must not fall back, or the test above would leave the estimate untried.
    model = KneserNey.estimate(in_a_row(some_reviews(400, seed=1)), 5, VOCABULARY)
    assert [each.tolist() != list(FALLBACK) for each in model.discounts] == [False, True, True, True, True]


def test_discounts_follow_from_the_counts_of_counts() -> None:
    adjusted = np.repeat([0, 1, 2, 3, 4, 5, 90], [7, 10, 4, 2, 1, 6, 3])
    y = 10 / (10 + 2 * 4)
    assert discounts(adjusted) == pytest.approx([1 - 2 * y * 4 / 10, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2])


@pytest.mark.parametrize(
    "counts_of_counts",
    [
        pytest.param([0, 3, 2, 1], id="none seen once"),
        pytest.param([3, 0, 2, 1], id="none seen twice"),
        pytest.param([5, 3, 0, 1], id="none seen three times"),
        pytest.param([100, 1, 100, 1], id="a discount below zero"),
        pytest.param([], id="no n-gram at all"),
    ],
)
def test_discounts_fall_back_where_the_counts_tell_none(counts_of_counts: list[int]) -> None:
    adjusted = np.repeat(np.arange(1, len(counts_of_counts) + 1), counts_of_counts)
    assert discounts(adjusted).tolist() == [0.5, 1.0, 1.5]


def test_an_order_beyond_the_longest_review_changes_nothing() -> None:
    reviews = [[7, 8], [7, 8], [9, 8]]
    tokens = in_a_row(reviews)
    # The longest n-gram has four tokens. It begins a review, so that it is counted alike as the highest order or not.
    longest, beyond = (KneserNey.estimate(tokens, order, VOCABULARY) for order in (4, 9))
    np.testing.assert_array_equal(longest.log_probabilities(tokens), beyond.log_probabilities(tokens))


# ---- predicting ----


@pytest.fixture(scope="module")
def model() -> KneserNey:
    return KneserNey.estimate(in_a_row(some_reviews(400, seed=1)), 4, VOCABULARY)


@pytest.mark.parametrize("order", [1, 2, 5])
def test_steps_agree_with_scores_and_sum_to_one(order: int) -> None:
    model = KneserNey.estimate(in_a_row(some_reviews(400, seed=1)), order, VOCABULARY)
    # Three rows that open new reviews at different times, with any rating, and hold what training never had.
    rows = [in_a_row(some_reviews(30, seed), opening)[:80] for seed, opening in ((2, 0), (3, 3), (4, 5))]
    rows[1][5:7] = NEVER_SEEN
    tokens = torch.from_numpy(np.stack(rows))
    scores = model.log_probabilities(tokens.numpy())
    state = model.initial_state(3)
    for t in range(79):
        following, state = model.step(tokens[:, t], state)
        assert (following.shape, following.dtype) == ((3, VOCABULARY), torch.float32)
        assert (state.shape, state.dtype) == ((3, model.state_size), torch.float32)
        np.testing.assert_allclose(following.exp().sum(dim=1), 1, rtol=1e-6)
        own = following.gather(1, tokens[:, t + 1 : t + 2])[:, 0]
        np.testing.assert_allclose(own, scores[:, t], rtol=1e-5)
        assert following[:, :END].eq(-torch.inf).all()
        assert following[:, END:].isfinite().all()


def test_an_opening_forgets_what_came_before_whatever_the_rating(model: KneserNey) -> None:
    fresh, fresh_state = model.step(torch.tensor([START]), model.initial_state(1))
    _, state = model.step(torch.tensor([8]), fresh_state)
    _, state = model.step(torch.tensor([9]), state)
    for opening in range(END):
        reopened, after = model.step(torch.tensor([opening]), state)
        torch.testing.assert_close(reopened, fresh)
        torch.testing.assert_close(after, fresh_state)
    unopened, _ = model.step(torch.tensor([10]), state)
    assert not torch.allclose(unopened, fresh)


def test_a_row_does_not_depend_on_its_neighbours(model: KneserNey) -> None:
    states = torch.tensor([[START, 7.0, 8.0], [9, 10, 11], [END, NEVER_SEEN, 7]])
    tokens = torch.tensor([9, 12, 8])
    together, _ = model.step(tokens, states)
    for row in range(3):
        alone, _ = model.step(tokens[row : row + 1], states[row : row + 1])
        assert alone[0].equal(together[row])


# ---- corpora and files ----


def test_a_corpus_is_read_review_by_review(corpus: Path) -> None:
    split = Split(corpus, "test")
    expected = in_a_row([split.tokens_of(review).tolist() for review in range(len(split))])
    assert token_stream(split).tolist() == expected.tolist()


def test_a_saved_model_says_the_same(model: KneserNey, tmp_path: Path) -> None:
    tokens = in_a_row(some_reviews(20, seed=5))
    model.save(tmp_path / "model.npz")
    loaded = KneserNey.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.log_probabilities(tokens), model.log_probabilities(tokens))
    np.testing.assert_array_equal(loaded.discounts, model.discounts)
    found, _ = loaded.step(torch.tensor([8]), loaded.initial_state(1))
    assert found.equal(model.step(torch.tensor([8]), model.initial_state(1))[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half a file"])
def test_what_is_no_model_is_refused_in_a_sentence(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(TrainingError, match=r"model\.npz holds no n-gram model"):
        KneserNey.load(tmp_path / "model.npz")


def test_the_command_measures_and_saves_the_model(
    corpus: Path, tokenizer: Tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--corpus", str(corpus), "--order", "3", "--run", str(tmp_path / "run")]) == 0
    printed = re.findall(r"^(\w+) +([\d.]+) perplexity per token, ([\d.]+) bits", capsys.readouterr().out, re.MULTILINE)
    assert [name for name, _, _ in printed] == ["valid", "test"]
    model = KneserNey.load(tmp_path / "run" / "model.npz")
    assert len(model.discounts) == 3
    for name, perplexity, bits in printed:
        split = Split(corpus, name)
        scores = model.log_probabilities(token_stream(split))
        counted = scores[scores > -math.inf]
        assert len(counted) == len(split.tokens) + len(split)
        assert float(perplexity) == pytest.approx(math.exp(-counted.mean()), abs=1e-3)
        characters = sum(len(tokenizer.decode(split.tokens_of(review).tolist())) for review in range(len(split)))
        assert float(bits) == pytest.approx(-counted.sum() / math.log(2) / characters, abs=1e-4)


def test_longer_contexts_predict_better(corpus: Path, tokenizer: Tokenizer) -> None:
    tokens = token_stream(Split(corpus, "train"))
    perplexities = []
    for order in (1, 2, 3):
        scorer = kneser_ney_scorer(KneserNey.estimate(tokens, order, tokenizer.get_vocab_size()))
        perplexities.append(evaluate(scorer, measurable_split(Split(corpus, "valid"), tokenizer)).token_perplexity)
    assert perplexities[0] > 3 * perplexities[1] > 3 * perplexities[2]


@pytest.mark.parametrize(("arguments", "complaint"), [([], "no prepared corpus"), (["--order", "0"], "--order 0")])
def test_what_a_user_can_put_right_ends_in_a_sentence(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--corpus", str(tmp_path), "--run", str(tmp_path), *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert complaint in line
