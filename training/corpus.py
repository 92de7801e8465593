"""The tokenised corpus on disk, and the batches that training reads from it.

A split is three flat files (`train.tokens`, `train.offsets`, `train.stars`), of which the tokens are memory-mapped, so
that a corpus larger than memory trains as well as a small one. Tokens hold the text alone; opening and end marks are
put round it when it is read.
"""

import copy
import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.errors import TrainingError
from training.reviews import ReadingSummary, Review, read_reviews
from training.vocabulary import END, UNKNOWN_RATING, learn_vocabulary, save_vocabulary

SPLITS = ("train", "valid", "test")
VOCABULARY_FILE = "vocab.json"
SUMMARY_FILE = "summary.json"
ENCODING_CHUNK = 1000
NOT_PREPARED = "There is no prepared corpus in {}; run `python -m training prepare` first."


@dataclass
class SplitSizes:
    reviews: int = 0
    words: int = 0
    tokens: int = 0
    characters: int = 0


class Split:
    """One split of a corpus: `len(split)` reviews, `split.tokens_of(i)` and `split.stars[i]` of each."""

    def __init__(self, corpus: Path, name: str) -> None:
        if not (corpus / f"{name}.offsets").is_file():
            raise TrainingError(NOT_PREPARED.format(corpus))
        self.offsets = np.fromfile(corpus / f"{name}.offsets", dtype=np.int64)
        self.stars = np.fromfile(corpus / f"{name}.stars", dtype=np.uint8)
        # A split may be empty, which a memory map may not.
        empty = self.offsets[-1] == 0
        self.tokens: np.ndarray[Any, np.dtype[np.uint16]] = (
            np.empty(0, np.uint16) if empty else np.memmap(corpus / f"{name}.tokens", dtype=np.uint16, mode="r")
        )

    def __len__(self) -> int:
        return len(self.stars)

    def tokens_of(self, review: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
        return self.tokens[self.offsets[review] : self.offsets[review + 1]]

    def first(self, tokens: float) -> "Split":
        """The first reviews, as many as have `tokens` together, at least one."""
        count = max(1, int(np.searchsorted(self.offsets, tokens, side="right")) - 1)
        part = copy.copy(self)
        part.offsets, part.stars = self.offsets[: count + 1], self.stars[:count]
        part.tokens = self.tokens[: part.offsets[-1]]
        return part

    def whole(
        self, review: int, hidden_ratings: float, random: np.random.Generator
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """A review as it is trained on, `opening w1 … wn end`; a share `hidden_ratings` of them hide their rating."""
        hidden = random.random() < hidden_ratings
        opening = UNKNOWN_RATING if hidden else int(self.stars[review])
        return np.concatenate([[opening], self.tokens_of(review), [END]]).astype(np.int64)

    def target_counts(self, vocabulary_size: int) -> Tensor:
        """How often each token is a target, `[V]`."""
        counts = np.zeros(vocabulary_size, dtype=np.int64)
        for start in range(0, len(self.tokens), 1 << 24):
            counts += np.bincount(self.tokens[start : start + (1 << 24)], minlength=vocabulary_size)
        counts[END] = len(self)
        return torch.from_numpy(counts)


def corpus_vocabulary(corpus: Path) -> Tokenizer:
    if not (corpus / VOCABULARY_FILE).is_file():
        raise TrainingError(NOT_PREPARED.format(corpus))
    return Tokenizer.from_file(str(corpus / VOCABULARY_FILE))


# ---- writing ----


def prepare_corpus(
    sources: dict[str, list[Path]], corpus: Path, vocabulary_size: int, vocabulary_reviews: int, progress: bool = True
) -> dict[str, Any]:
    """Learns the vocabulary from the training reviews, tokenises every split and writes both; returns the summary.

    `sources` maps a split's name to its files. Where `valid` or `test` has none, it is held out of the training files
    by a hash of the text (2 % each), so that a review and its copy fall on the same side.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    reading = ReadingSummary()
    first_pass = _training_reviews(sources, progress)
    texts = (review.text for review in itertools.islice(first_pass, vocabulary_reviews))
    tokenizer = learn_vocabulary(texts, vocabulary_size)
    # The vocabulary is the mark of a whole corpus: it goes first and comes back last.
    (corpus / VOCABULARY_FILE).unlink(missing_ok=True)
    with ExitStack() as files:
        writers = {split: _SplitWriter(corpus, split, tokenizer, files) for split in SPLITS}
        for split, paths in sources.items():
            for path in paths:
                for review in read_reviews(path, reading, progress):
                    writers[_split_of(review, split, sources)].add(review)
        for writer in writers.values():
            writer.flush()
    for split, writer in writers.items():
        if writer.sizes.reviews == 0:
            raise TrainingError(f"No review is left for the {split} split; give more reviews, or files for each split.")
    summary = {
        "splits": {split: asdict(writer.sizes) for split, writer in writers.items()},
        "vocabulary_size": tokenizer.get_vocab_size(),
        "skipped": dict(reading.skipped),
        "first_skipped": reading.shown,
    }
    (corpus / SUMMARY_FILE).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    save_vocabulary(tokenizer, corpus / VOCABULARY_FILE)
    return summary


def _training_reviews(sources: dict[str, list[Path]], progress: bool) -> Iterator[Review]:
    for path in sources["train"]:
        for review in read_reviews(path, ReadingSummary(), progress):
            if _split_of(review, "train", sources) == "train":
                yield review


def _split_of(review: Review, given: str, sources: dict[str, list[Path]]) -> str:
    if given == "train":
        share = int.from_bytes(hashlib.blake2b(review.text.encode(), digest_size=4).digest()) % 100
        for split, held_out in (("valid", range(0, 2)), ("test", range(2, 4))):
            if not sources.get(split) and share in held_out:
                return split
    return given


class _SplitWriter:
    """Writes the three files of a split, which `files` closes in the end."""

    def __init__(self, corpus: Path, split: str, tokenizer: Tokenizer, files: ExitStack) -> None:
        self._tokenizer = tokenizer
        self._tokens, self._offsets, self._stars = (
            files.enter_context((corpus / f"{split}.{part}").open("wb")) for part in ("tokens", "offsets", "stars")
        )
        self._offsets.write(np.int64(0).tobytes())
        self._waiting: list[Review] = []
        self.sizes = SplitSizes()

    def add(self, review: Review) -> None:
        self._waiting.append(review)
        if len(self._waiting) == ENCODING_CHUNK:
            self.flush()

    def flush(self) -> None:
        reviews, self._waiting = self._waiting, []
        for review, encoding in zip(reviews, self._tokenizer.encode_batch_fast([r.text for r in reviews]), strict=True):
            self._tokens.write(np.asarray(encoding.ids, dtype=np.uint16).tobytes())
            self.sizes.tokens += len(encoding.ids)
            self.sizes.characters += len(review.text)
            self.sizes.words += len(review.text.split())
            self._offsets.write(np.int64(self.sizes.tokens).tobytes())
        self._stars.write(bytes(review.stars or 0 for review in reviews))
        self.sizes.reviews += len(reviews)


# ---- reading for training ----


@dataclass(frozen=True)
class Batch:
    """`T` steps of `B` parallel streams: `inputs` and `targets` are `[T, B]` int64.

    A target of -1 counts for nothing: it stands where the next review opens, which nobody is asked to predict.
    """

    inputs: Tensor
    targets: Tensor


class ReviewStreams:
    """Endless batches of `lanes` parallel streams of reviews, in a new random order each epoch.

    Each stream is review after review, `opening w1 … wn end`; it goes on in the next batch where it stopped in this
    one, so that the recurrent state can be carried over (truncated back-propagation through time). A share of the
    reviews hide their rating, so that the model learns to write without one. The position can be saved and taken up
    exactly.
    """

    def __init__(self, split: Split, lanes: int, steps: int, hidden_ratings: float, seed: int) -> None:
        self.split, self.lanes, self.steps, self.hidden_ratings, self.seed = split, lanes, steps, hidden_ratings, seed
        self.epoch = 0
        self._next = 0
        self._shuffle()
        self._left = [self._next_review() for _ in range(lanes)]

    def __iter__(self) -> Iterator[Batch]:
        while True:
            lanes = np.stack([self._take(lane, self.steps) for lane in range(self.lanes)], axis=1)
            # The token after the last step is the next batch's first input, so it is looked at and left in place.
            following = np.array([self._peek(lane) for lane in range(self.lanes)], dtype=np.int64)
            targets = np.concatenate([lanes[1:], following[None]])
            targets[targets < END] = -1
            yield Batch(torch.from_numpy(lanes), torch.from_numpy(targets))

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "next": self._next,
            "random": self._random.bit_generator.state,
            "left": [lane.tolist() for lane in self._left],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self._shuffle()
        self._next = state["next"]
        self._random.bit_generator.state = state["random"]
        self._left = [np.asarray(lane, dtype=np.int64) for lane in state["left"]]

    def _shuffle(self) -> None:
        self._random = np.random.default_rng([self.seed, self.epoch])
        self._order = self._random.permutation(len(self.split))

    def _next_review(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        if self._next == len(self._order):
            self.epoch += 1
            self._next = 0
            self._shuffle()
        review = int(self._order[self._next])
        self._next += 1
        return self.split.whole(review, self.hidden_ratings, self._random)

    def _take(self, lane: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        while len(self._left[lane]) < count:
            self._left[lane] = np.concatenate([self._left[lane], self._next_review()])
        taken, self._left[lane] = self._left[lane][:count], self._left[lane][count:]
        return taken

    def _peek(self, lane: int) -> int:
        if len(self._left[lane]) == 0:
            self._left[lane] = self._next_review()
        return int(self._left[lane][0])
