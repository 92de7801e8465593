import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from training.diversity import distinct, self_bleu


def test_distinct_n_is_the_share_of_different_ngrams() -> None:
    texts = [["a", "b", "a", "b"], ["b", "c"]]
    assert distinct(texts, 1, 100) == 3 / 6
    assert distinct(texts, 2, 100) == 3 / 4  # ab, ba, ab; bc: none goes across
    assert distinct(texts, 3, 100) == 2 / 2
    assert distinct(texts, 5, 100) == 0.0


def test_distinct_n_is_of_the_first_words() -> None:
    texts = [["a", "b", "a"], ["a", "d", "e"], ["f"]]
    assert distinct(texts, 1, 4) == 2 / 4
    assert distinct(texts, 2, 4) == 2 / 2
    assert distinct(texts, 2, 5) == 3 / 3
    assert distinct(texts, 1, 6) == 4 / 6


def test_self_bleu_by_hand() -> None:
    texts = [["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "x", "y"]]
    first = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25 * math.exp(1 - 6 / 5)
    second = (4 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert self_bleu(texts) == pytest.approx((first + second) / 2)


def test_self_bleu_of_copies_is_one_and_of_strangers_almost_nothing() -> None:
    assert self_bleu([list("abcde")] * 3) == pytest.approx(1)
    strangers = [list("abcde"), list("fghij")]
    assert self_bleu(strangers) == pytest.approx((0.1**4 / (5 * 4 * 3 * 2)) ** 0.25)


def test_one_text_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(ValueError, match="no others"):
        self_bleu([["a"]])


def bleu(text: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU-4 by its definition, with smoothing method 1 of Chen & Cherry 2014."""
    if not text:
        return 0.0

    def grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
        return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]

    product = 1.0
    for n in range(1, 5):
        own = grams(text, n)
        clipped = sum(
            min(own.count(gram), max(grams(reference, n).count(gram) for reference in references)) for gram in set(own)
        )
        product *= (clipped or 0.1) / max(1, len(own))
    nearest = min((abs(len(reference) - len(text)), len(reference)) for reference in references)[1]
    brevity = 1.0 if len(text) >= nearest else math.exp(1 - nearest / len(text))
    return brevity * math.sqrt(math.sqrt(product))


@pytest.mark.parametrize("seed", range(4))
def test_self_bleu_is_the_mean_bleu_with_all_others_as_references(seed: int) -> None:
    chance = random.Random(seed)
    texts = [chance.choices("abcde", k=chance.randint(0, 12)) for _ in range(12)]
    expected = [bleu(text, texts[:index] + texts[index + 1 :]) for index, text in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(math.fsum(expected) / 12)
    assert len(Counter(round(value, 6) for value in expected)) > 6
