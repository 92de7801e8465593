import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from tests.reviews import made_up_reviews, write_json_lines
from training.corpus import Batch, ReviewStreams, Split, corpus_vocabulary, prepare_corpus
from training.errors import TrainingError
from training.vocabulary import END, UNKNOWN_RATING


def prepare(folder: Path, records: list[dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    """Prepares a corpus whose validation and test reviews are held out."""
    folder.mkdir(exist_ok=True)
    sources = {"train": [write_json_lines(folder / "reviews.json", records)]}
    return folder, prepare_corpus(sources, folder, vocabulary_size=600, vocabulary_reviews=100, progress=False)


def texts_of(corpus: Path, name: str) -> list[str]:
    split, tokenizer = Split(corpus, name), corpus_vocabulary(corpus)
    return [tokenizer.decode(split.tokens_of(review).tolist()) for review in range(len(split))]


# ---- writing ----


@pytest.mark.parametrize(
    ("name", "part"), [("train", slice(0, 200)), ("valid", slice(200, 270)), ("test", slice(270, 300))]
)
def test_a_split_holds_the_texts_and_ratings(
    corpus: Path, records: list[dict[str, Any]], name: str, part: slice
) -> None:
    assert texts_of(corpus, name) == [record["text"] for record in records[part]]
    assert Split(corpus, name).stars.tolist() == [record["stars"] or 0 for record in records[part]]


def test_the_summary_counts_what_the_files_hold(corpus: Path, records: list[dict[str, Any]]) -> None:
    summary = json.loads((corpus / "summary.json").read_text())
    texts = [record["text"] for record in records[:200]]
    assert summary["splits"]["train"] == {
        "reviews": 200,
        "words": sum(len(text.split()) for text in texts),
        "tokens": len(Split(corpus, "train").tokens),
        "characters": sum(len(text) for text in texts),
    }
    assert summary["vocabulary_size"] == corpus_vocabulary(corpus).get_vocab_size() == 700
    assert summary["skipped"] == {}


def test_what_was_skipped_is_in_the_summary(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "r.json", made_up_reviews(20, seed=5))
    path.write_text(path.read_text() + "?\n")
    summary = prepare_corpus(
        {"train": [path], "valid": [path], "test": [path]},
        tmp_path,
        vocabulary_size=300,
        vocabulary_reviews=10,
        progress=False,
    )
    assert summary["skipped"] == {"not JSON": 3}
    assert summary["first_skipped"] == ["r.json, line 21: not JSON"] * 3


def test_more_reviews_than_are_encoded_at_once_keep_their_order(tmp_path: Path) -> None:
    records = made_up_reviews(2300, seed=6)
    paths = {name: [write_json_lines(tmp_path / f"{name}.json", records)] for name in ("train", "valid", "test")}
    prepare_corpus(paths, tmp_path, vocabulary_size=300, vocabulary_reviews=50, progress=False)
    assert texts_of(tmp_path, "train") == [record["text"] for record in records]


def test_reviews_are_held_out_by_their_text_alone(tmp_path: Path) -> None:
    """Which texts are held out is pinned: under another hash, a model would be measured on what it was trained on."""
    coffee = [f"The coffee was warm, visit {number}." for number in range(300)]
    first, _ = prepare(tmp_path / "first", [{"text": text, "stars": 4} for text in coffee])
    assert texts_of(first, "valid") == [coffee[number] for number in (94, 108, 209, 215, 286, 292)]
    assert texts_of(first, "test") == [coffee[number] for number in (40, 188)]
    second, _ = prepare(tmp_path / "second", [{"text": text, "stars": None} for text in reversed(coffee)])
    assert texts_of(second, "valid") == texts_of(first, "valid")[::-1]


def test_two_percent_are_held_out_and_copies_stay_together(tmp_path: Path) -> None:
    records = made_up_reviews(2000, seed=7)
    corpus, summary = prepare(tmp_path / "corpus", [*records, *records])
    sizes = {name: split["reviews"] for name, split in summary["splits"].items()}
    assert sum(sizes.values()) == 4000
    assert sizes["valid"] == pytest.approx(80, abs=30)
    assert sizes["test"] == pytest.approx(80, abs=30)
    sides = [set(texts_of(corpus, name)) for name in ("train", "valid", "test")]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(sides, 2))


def test_the_vocabulary_is_learned_from_training_reviews_alone(tmp_path: Path) -> None:
    train = write_json_lines(tmp_path / "train.json", [{"text": "plain words, plain words"}] * 50)
    other = write_json_lines(tmp_path / "other.json", [{"text": "zyzzyva zyzzyva"}] * 500)
    sources = {"train": [train], "valid": [other], "test": [other]}
    prepare_corpus(sources, tmp_path, vocabulary_size=600, vocabulary_reviews=1000, progress=False)
    vocabulary = corpus_vocabulary(tmp_path).get_vocab()
    assert "Ġwords</w>" in vocabulary
    assert "zy" not in vocabulary


def test_too_few_reviews_to_hold_any_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="No review is left for the valid split"):
        prepare(tmp_path / "corpus", [{"text": "The coffee was warm, visit 40."}, {"text": "Only one."}])


def test_a_preparation_that_fails_leaves_no_corpus_that_looks_whole(tmp_path: Path) -> None:
    corpus, _ = prepare(tmp_path / "corpus", made_up_reviews(300, seed=8))
    good, missing = corpus / "reviews.json", tmp_path / "missing.json"
    with pytest.raises(TrainingError, match="There is no file"):
        prepare_corpus({"train": [good], "valid": [missing]}, corpus, 400, 100, progress=False)
    with pytest.raises(TrainingError, match="There is no prepared corpus"):
        corpus_vocabulary(corpus)


def test_a_folder_without_a_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run `python -m training prepare` first"):
        Split(tmp_path, "train")


# ---- reading for training ----


def streams_of(corpus: Path, lanes: int = 3, steps: int = 7, hidden_ratings: float = 0.5) -> ReviewStreams:
    return ReviewStreams(Split(corpus, "valid"), lanes, steps, hidden_ratings, seed=1)


def lane_of(batches: list[Batch], lane: int) -> tuple[list[int], list[int]]:
    """One stream's inputs and targets, put together again from its batches."""
    inputs = torch.cat([batch.inputs[:, lane] for batch in batches]).tolist()
    targets = torch.cat([batch.targets[:, lane] for batch in batches]).tolist()
    return inputs, targets


def whole_reviews(tokens: list[int], tokenizer: Tokenizer) -> list[tuple[int, str]]:
    """Splits a stream into (opening, text) of every review that it holds whole."""
    reviews = []
    while END in tokens:
        end = tokens.index(END)
        assert tokens[0] < END
        assert all(token > END for token in tokens[1:end])
        reviews.append((tokens[0], tokenizer.decode(tokens[1:end])))
        tokens = tokens[end + 1 :]
    return reviews


def test_one_stream_holds_each_review_once_an_epoch_in_a_new_order(
    corpus: Path, records: list[dict[str, Any]], tokenizer: Tokenizer
) -> None:
    streams = streams_of(corpus, lanes=1, steps=50, hidden_ratings=0)
    batches = []
    for batch in streams:
        batches.append(batch)
        if streams.epoch == 2:
            break
    reviews = whole_reviews(lane_of(batches, 0)[0], tokenizer)
    given = sorted((record["stars"] or UNKNOWN_RATING, record["text"]) for record in records[200:270])
    first, second = reviews[:70], reviews[70:140]
    assert sorted(first) == sorted(second) == given
    assert first != second


def test_several_streams_share_the_reviews_of_an_epoch(
    corpus: Path, records: list[dict[str, Any]], tokenizer: Tokenizer
) -> None:
    streams = streams_of(corpus, lanes=4)
    batches = list(itertools.takewhile(lambda _: streams.epoch == 0, streams))
    lanes = [whole_reviews(lane_of(batches, lane)[0], tokenizer) for lane in range(4)]
    read = Counter(text for lane in lanes for _, text in lane)
    given = Counter(record["text"] for record in records[200:270])
    assert read <= given
    assert read.total() >= 70 - 2 * 4  # all but those that each lane has begun
    assert all(lanes)


def test_targets_are_the_inputs_one_step_on_and_openings_count_for_nothing(corpus: Path) -> None:
    batches = list(itertools.islice(streams_of(corpus), 60))
    for lane in range(3):
        inputs, targets = lane_of(batches, lane)
        assert targets[:-1] == [token if token >= END else -1 for token in inputs[1:]]
        assert -1 in targets
    assert batches[0].inputs.shape == batches[0].targets.shape == (7, 3)
    assert batches[0].inputs.dtype == batches[0].targets.dtype == torch.int64


@pytest.mark.parametrize("before", [0, 5, 300])
def test_streams_go_on_exactly_where_they_were_saved(corpus: Path, before: int) -> None:
    unbroken = streams_of(corpus)
    for _ in itertools.islice(unbroken, before):
        pass
    saved = json.loads(json.dumps(unbroken.state_dict()))
    resumed = streams_of(corpus)
    resumed.load_state_dict(saved)
    expected, batches = list(itertools.islice(unbroken, 200)), list(itertools.islice(resumed, 200))
    assert resumed.epoch == unbroken.epoch > saved["epoch"]
    for one, other in zip(expected, batches, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_all_or_no_ratings_are_hidden(corpus: Path, share: float, expected: bool) -> None:
    batches = list(itertools.islice(streams_of(corpus, hidden_ratings=share), 100))
    tokens = torch.cat([batch.inputs.flatten() for batch in batches])
    openings = set(tokens[tokens < END].tolist())
    assert openings == ({UNKNOWN_RATING} if expected else {0, 1, 2, 3, 4, 5})


def test_a_share_of_the_ratings_is_hidden(corpus: Path) -> None:
    unrated = float(np.mean(Split(corpus, "valid").stars == 0))
    batches = list(itertools.islice(streams_of(corpus, hidden_ratings=0.5), 1500))
    tokens = torch.cat([batch.inputs.flatten() for batch in batches])
    hidden = float((tokens == UNKNOWN_RATING).sum() / (tokens < END).sum())
    assert hidden == pytest.approx(unrated + 0.5 * (1 - unrated), abs=0.07)
