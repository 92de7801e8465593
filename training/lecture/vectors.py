"""The lecture's embeddings: skip-gram with both its outputs, and the ranking model; what their vectors know."""

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from training.baselines.ranking import AROUND, corrupting_words, ranking_accuracy, train_ranking, windows
from training.baselines.skip_gram import HierarchicalSoftmax, NegativeSampling, Output, train_skip_gram, word_counts
from training.baselines.word_vectors import REVIEW_ANALOGIES, WordVectors, ask_analogies, vectors_of_words
from training.embeddings import write_vectors
from training.lecture.part import Ground, Plot, Result, Section, Table

SIZE = 128
"""Numbers of a vector: as many as in the small recurrent network that starts from them in another part."""
SKIP_GRAM_FILE, RANKING_FILE = "skip-gram.npz", "ranking.npz"
AT_LEAST = 50
"""Neighbours are looked for among the words that occur so often in the training reviews."""
NEIGHBOURS = 5
ASKED = ("delicious", "waiter", "terrible", "Tuesday", "Vegas", "cheap", "sushi", "husband", "haircut", "three")
"""Words whose neighbours are shown."""
DRAWN = {
    "food": "pizza burger tacos sushi pasta salad steak soup chicken fries rice bread cheese bacon",
    "people": "waiter waitress server manager bartender hostess owner chef cashier staff",
    "praise": "great amazing delicious excellent awesome fantastic friendly perfect",
    "blame": "terrible horrible rude awful worst disgusting disappointing bland",
    "time": "Monday Tuesday Friday Sunday morning night weekend afternoon minutes hour",
}
"""Words of the plot, by kind."""
TESTED = 1000
"""Test reviews whose windows the ranking model tells from corrupted ones."""


def skip_gram(ground: Ground, seconds: float) -> Result:
    """Skip-gram, half of the time with either output; the vectors of negative sampling are left for other parts."""
    started, split = time.process_time(), ground.split("train")
    counts = word_counts(split, ground.vocabulary_size)
    outputs: dict[str, Output] = {
        "negative sampling": NegativeSampling(counts),
        "hierarchical softmax": HierarchicalSoftmax(counts),
    }
    trained = {name: train_skip_gram(split, counts, SIZE, output, seconds / 2) for name, output in outputs.items()}
    _keep(ground, SKIP_GRAM_FILE, counts, trained["negative sampling"].model.vectors)
    words = {
        name: vectors_of_words(ground.tokenizer, each.model.vectors, counts, AT_LEAST) for name, each in trained.items()
    }
    training = Table(
        columns=["skip-gram", "seconds", "pairs", "pairs/s", "loss in nats a pair"],
        rows=[
            [name, f"{each.seconds:.0f}", f"{each.pairs:,}", f"{each.pairs / each.seconds:,.0f}", f"{each.loss:.3f}"]
            for name, each in trained.items()
        ],
    )
    text = (
        f"Vectors of {SIZE} numbers for the vocabulary's tokens; neighbours and analogies are looked for among those "
        f"that are whole words and occur {AT_LEAST} times. The losses are of different questions and do not compare."
    )
    return Result(
        seconds=time.process_time() - started,
        sections=[
            _section(
                "Skip-gram",
                text,
                training,
                words,
                plane("skip-gram", "Skip-gram with negative sampling", words["negative sampling"]),
            )
        ],
    )


def ranking(ground: Ground, seconds: float) -> Result:
    """The ranking model; its vectors are left for other parts."""
    started, split = time.process_time(), ground.split("train")
    counts = word_counts(split, ground.vocabulary_size)
    trained = train_ranking(split, ground.vocabulary_size, SIZE, seconds)
    vectors = trained.model.embedding.weight.detach()
    _keep(ground, RANKING_FILE, counts, vectors)
    real, generator = windows(ground.split("test"), 0, TESTED), torch.Generator().manual_seed(1)
    told = [
        ranking_accuracy(trained.model, real, corrupting_words(real, ground.vocabulary_size, share, generator))
        for share in (1.0, 0.0)
    ]
    words = {"ranking": vectors_of_words(ground.tokenizer, vectors, counts, AT_LEAST)}
    accuracy = Table(
        columns=["seconds", "windows read", "windows/s", "told from any word", "told from a word of the text"],
        rows=[
            [
                f"{trained.seconds:.0f}",
                f"{trained.windows:,}",
                f"{trained.windows / trained.seconds:,.0f}",
                *(f"{share:.1%}" for share in told),
            ]
        ],
    )
    text = (
        f"How often a true window of {2 * AROUND + 1} tokens scores above itself with another token in its middle, on "
        f"{len(real):,} windows of test reviews: any token of the vocabulary, or one drawn as the text has them, which "
        "is harder to tell, as it cannot be told by being rare."
    )
    return Result(
        seconds=time.process_time() - started,
        sections=[
            _section(
                "Ranking windows of text",
                text,
                accuracy,
                words,
                plane("ranking", "The ranking model", words["ranking"]),
            )
        ],
    )


def _keep(ground: Ground, name: str, counts: Tensor, vectors: Tensor) -> None:
    """Writes the vectors of the tokens that the training reviews have, for `train --embeddings`."""
    (seen,) = torch.where(counts > 0)
    write_vectors(ground.run / name, ground.tokenizer, seen, vectors[seen])


# ---- what vectors know ----


def _section(title: str, text: str, table: Table, vectors: Mapping[str, WordVectors], plot: Plot) -> Section:
    """What a model of words comes to: its own table, then what its vectors know."""
    return Section(
        title=title, text=text, tables=[table, neighbour_table(vectors), analogy_table(vectors)], plots=[plot]
    )


def neighbour_table(vectors: Mapping[str, WordVectors]) -> Table:
    """The nearest neighbours of the words of `ASKED` that there are, by each of the named vectors."""
    asked = [word for word in ASKED if all(word in each for each in vectors.values())]
    return Table(
        columns=["word", *(f"nearest, {name}" for name in vectors)],
        rows=[[word, *(", ".join(each.nearest(word, NEIGHBOURS)) for each in vectors.values())] for word in asked],
    )


def analogy_table(vectors: Mapping[str, WordVectors]) -> Table:
    """Analogies answered right, by kind and by each of the named vectors."""
    answers = {name: ask_analogies(each, REVIEW_ANALOGIES) for name, each in vectors.items()}
    (any_answers, *_) = answers.values()
    rows = []
    for number, kind in enumerate(any_answers):
        (a, b), (c, d) = REVIEW_ANALOGIES[kind.kind][:2]
        shares = [_share(each[number].right, each[number].asked) for each in answers.values()]
        rows.append([f"{kind.kind}: {a} is to {b} as {c} to {d}", str(kind.asked), *shares])
    asked = sum(kind.asked for kind in any_answers)
    rows.append(["all", str(asked), *(_share(sum(k.right for k in each), asked) for each in answers.values())])
    return Table(columns=["analogies", "questions", *(f"right, {name}" for name in answers)], rows=rows)


def _share(right: int, asked: int) -> str:
    return f"{right / asked:.1%}" if asked else "–"


def plane(name: str, title: str, vectors: WordVectors) -> Plot:
    """The words of `DRAWN` that there are, in the two directions in which they differ most."""
    kinds = {kind: [word for word in words.split() if word in vectors] for kind, words in DRAWN.items()}
    kinds = {kind: words for kind, words in kinds.items() if words}
    places = iter(vectors.plane([word for words in kinds.values() for word in words]).tolist())
    return Plot(
        name=name,
        title=f"{title}: words in two directions",
        across="first principal component",
        up="second principal component",
        kind="points",
        series={kind: [(x, y) for x, y in (next(places) for _ in words)] for kind, words in kinds.items()},
        labels=kinds,
    )
