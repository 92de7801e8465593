"""Diversity of texts, given as words: how much they repeat themselves and each other."""

import math
from collections import Counter
from collections.abc import Sequence

ORDER = 4
"""The longest n-grams of BLEU."""
SMOOTHING = 0.1
"""Stands for no n-gram in common, whose logarithm is not finite (Chen & Cherry 2014, method 1)."""

Ngram = tuple[str, ...]


def ngrams(words: Sequence[str], n: int) -> Counter[Ngram]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def distinct(texts: Sequence[Sequence[str]], n: int, words: int) -> float:
    """The share of different n-grams among all n-grams of the first `words` words (Li et al. 2016, distinct-n).

    The more words, the smaller the share: compare texts by as many words. N-grams lie within a text.
    """
    counts: Counter[Ngram] = Counter()
    left = words
    for text in texts:
        counts.update(ngrams(text[:left], n))
        left -= min(left, len(text))
    return len(counts) / counts.total() if counts else 0.0


def self_bleu(texts: Sequence[Sequence[str]]) -> float:
    """The mean BLEU of each text with all others as its references (Zhu et al. 2018, "Texygen").

    BLEU is the brevity penalty times the geometric mean of the clipped precisions of 1 to 4-grams (Papineni et al.
    2002), smoothed, and 0 for an empty text. The higher, the more the texts are alike; it grows with their number.
    """
    if len(texts) < 2:
        raise ValueError("one text has no others to be compared with")
    counts = [[ngrams(text, n) for text in texts] for n in range(1, ORDER + 1)]
    most = [_two_largest(of_texts) for of_texts in counts]
    lengths = Counter(len(text) for text in texts)
    scores = []
    for index, text in enumerate(texts):
        if not text:
            continue
        precisions = [_precision(own[index], largest) for own, largest in zip(counts, most, strict=True)]
        mean = math.exp(sum(map(math.log, precisions)) / ORDER)
        scores.append(_brevity_penalty(len(text), lengths) * mean)
    return math.fsum(scores) / len(texts)


def _two_largest(counts: Sequence[Counter[Ngram]]) -> dict[Ngram, tuple[int, int]]:
    """The largest and second largest count of each n-gram in any text: the second is left when the first's is out."""
    largest: dict[Ngram, tuple[int, int]] = {}
    for of_text in counts:
        for ngram, count in of_text.items():
            first, second = largest.get(ngram, (0, 0))
            largest[ngram] = (count, first) if count > first else (first, max(second, count))
    return largest


def _precision(own: Counter[Ngram], largest: dict[Ngram, tuple[int, int]]) -> float:
    """The share of a text's n-grams that stand in another text, each counted as often as in the one with the most."""
    clipped = 0
    for ngram, count in own.items():
        first, second = largest[ngram]
        clipped += min(count, second if count == first else first)
    return (clipped or SMOOTHING) / max(1, own.total())


def _brevity_penalty(length: int, lengths: Counter[int]) -> float:
    """Below 1 for a text shorter than the one nearest to it in length, the shorter of two as near."""
    others = lengths - Counter([length])
    nearest = min(others, key=lambda other: (abs(other - length), other))
    return 1.0 if length >= nearest else math.exp(1 - nearest / length)
