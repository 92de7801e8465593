import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from training import memorisation
from training.corpus import Split
from training.memorisation import longest_shared_runs, training_words, words_of


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words_of("It's 5 p.m., the CAFÉ’s open_air\nbar!") == [
        "it's",
        "5",
        "p",
        "m",
        "the",
        "café’s",
        "open",
        "air",
        "bar",
    ]
    assert words_of("?! ...") == []


def runs(texts: Sequence[str], *parts: Sequence[str]) -> list[int]:
    training = ([words_of(review) for review in part] for part in parts)
    return list(longest_shared_runs([words_of(text) for text in texts], training))


def test_a_run_is_found_wherever_it_stands() -> None:
    training = ["we loved the soup and the bread", "never again", "the soup was cold"]
    texts = [
        "They said: WE loved the soup!",
        "the soup was cold.",
        "cold was soup the",
        "bread never again",
        "",
        "Ouch",
    ]
    assert runs(texts, training) == [4, 4, 1, 2, 0, 0]


def test_a_run_lies_within_one_text_and_one_review() -> None:
    assert runs(["a b c d"], ["a b", "c d"]) == [2]
    assert runs(["a b", "c d"], ["a b c d"]) == [2, 2]
    assert runs(["b a b a b"], ["a b a"]) == [3]


def test_the_longest_of_all_parts_counts() -> None:
    assert runs(["a b c x y", "p q"], ["a b"], ["b c x y", "q"], ["p"]) == [4, 1]
    assert runs(["a"]) == [0]
    assert runs(["a"], []) == [0]


def brute_force(text: Sequence[str], training: Sequence[Sequence[str]]) -> int:
    windows = {
        tuple(review[i:j]) for review in training for i in range(len(review)) for j in range(i + 1, len(review) + 1)
    }
    spans = ((i, j) for i in range(len(text)) for j in range(i + 1, len(text) + 1))
    return max((j - i for i, j in spans if tuple(text[i:j]) in windows), default=0)


@pytest.mark.parametrize("seed", range(5))
def test_runs_are_those_of_brute_force(seed: int) -> None:
    chance = random.Random(seed)

    def some(count: int, words: str) -> list[list[str]]:
        return [chance.choices(words, k=chance.randint(0, 25)) for _ in range(count)]

    training, texts = some(30, "abcdx"), some(20, "abcdy")
    found = longest_shared_runs(texts, [training[:10], training[10:]]).tolist()
    assert found == [brute_force(text, training) for text in texts]
    assert max(found) > 4


def test_every_training_review_is_read(corpus: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(corpus, "train")
    monkeypatch.setattr(memorisation, "CHUNK", 64)
    parts = list(training_words(split, tokenizer))
    assert [len(part) for part in parts] == [64, 64, 64, 8]
    expected = [words_of(tokenizer.decode(split.tokens_of(number).tolist())) for number in range(200)]
    assert [review for part in parts for review in part] == expected
    longest = longest_shared_runs(expected[:70], parts).tolist()
    assert longest == [len(review) for review in expected[:70]]
