"""Memorisation: the longest run of words that a text shares with one training review.

Words are letters and digits in lower case; case, punctuation and white space are ignored, so that a copy with another
comma is still a copy. A run lies within one text and within one training review. What a model recites shows beside the
same figure of real reviews that it never saw, as people write phrases that others wrote, too (McCoy et al. 2023, "How
Much Do Language Models Copy From Their Training Data?").
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

from training.corpus import Split

CHUNK = 10_000
"""Training reviews that are held in memory at once."""
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

Integers = np.ndarray[Any, np.dtype[np.int64]]


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: "It's 5 p.m.!" has "it's", "5", "p" and "m"."""
    return WORD.findall(text.lower())


def training_words(split: Split, tokenizer: Tokenizer, label: str = "") -> Iterator[list[list[str]]]:
    """Yields the words of all reviews of a split, some reviews at a time."""
    with tqdm(total=len(split), unit="review", desc=label, disable=None if label else True) as bar:
        for start in range(0, len(split), CHUNK):
            numbers = range(start, min(start + CHUNK, len(split)))
            texts = tokenizer.decode_batch([split.tokens_of(number).tolist() for number in numbers])
            yield [words_of(text) for text in texts]
            bar.update(len(texts))


def longest_shared_runs(texts: Sequence[Sequence[str]], training: Iterable[Sequence[Sequence[str]]]) -> Integers:
    """How many words each of `texts` shares in a row with any one training review, `[len(texts)]`.

    Both are given as words; the training reviews come in parts, of which one is held at a time.
    """
    numbers: dict[str, int] = {}
    for text in texts:
        for word in text:
            numbers.setdefault(word, len(numbers) + 1)
    # Each text ends with a number no training review has, each training review with 0, as do words in no text.
    end = len(numbers) + 1
    words = np.array([number for text in texts for number in (*map(numbers.__getitem__, text), end)], dtype=np.int64)
    owners = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    longest = np.zeros(len(texts), dtype=np.int64)
    for reviews in training:
        known = [number for review in reviews for number in (*(numbers.get(word, 0) for word in review), 0)]
        for length, shared in enumerate(_shared_runs(words, np.array(known, dtype=np.int64), end + 1), 1):
            np.maximum.at(longest, owners[shared], length)
    return longest


def _shared_runs(words: Integers, known: Integers, base: int) -> Iterator[Integers]:
    """Yields the places of `words` where runs of 1, 2, 3 … numbers begin that stand in `known`, too; all are < `base`.

    Runs that are equal get one number, so that a longer run is a pair of numbers: the run without its last word, and
    that word. Only runs that stand in both can be part of longer ones, so both soon have few left.
    """
    here, there = np.arange(len(words)), np.flatnonzero(known)
    runs, known_runs, length = words, known[there], 0
    while True:
        length += 1
        stands = np.zeros(int(runs.max(initial=0)) + 1, dtype=bool)
        stands[known_runs] = True
        here, runs = here[stands[runs]], runs[stands[runs]]
        if len(here) == 0:
            return
        yield here
        # A run that stands in both holds no end mark, so a word follows it or an end mark does.
        pairs, runs = np.unique(runs * base + words[here + length], return_inverse=True)
        known_pairs = known_runs * base + known[there + length]
        places = np.minimum(np.searchsorted(pairs, known_pairs), len(pairs) - 1)
        there, known_runs = there[pairs[places] == known_pairs], places[pairs[places] == known_pairs]
