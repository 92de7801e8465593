import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.quality.windows import Window, WindowBatches, rows_of, windows
from training.corpus import Split
from training.vocabulary import END, OPENINGS, UNKNOWN_RATING


def test_windows_by_hand() -> None:
    assert list(windows(3, 4)) == [Window(1, 0, 3)]
    assert list(windows(4, 4)) == [Window(1, 0, 4)]
    assert list(windows(7, 4)) == [Window(1, 0, 4), Window(3, 4, 6), Window(5, 6, 7)]


@given(length=st.integers(1, 100), context=st.integers(2, 20))
def test_every_token_is_predicted_in_one_window_with_half_a_context_before_it(length: int, context: int) -> None:
    found = list(windows(length, context))
    assert [i for window in found for i in range(window.first, window.end)] == list(range(length))
    for window in found:
        read = [0, *range(window.begin, window.end)]
        assert len(read) <= context
        assert len(read) == len(set(read))
        for i in range(window.first, window.end):
            assert read[-1] >= i
            assert sum(j <= i for j in read) >= min(i + 1, context / 2)


@given(length=st.integers(1, 100), more=st.integers(1, 100), context=st.integers(2, 20))
def test_what_a_window_reads_before_a_token_does_not_depend_on_what_follows(
    length: int, more: int, context: int
) -> None:
    shorter, longer = list(windows(length, context)), list(windows(length + more, context))
    starts = [(window.begin, window.first) for window in longer]
    assert [(window.begin, window.first) for window in shorter] == starts[: len(shorter)]


def test_rows_by_hand() -> None:
    (row,) = rows_of(np.array([3, 10, 11, END]), context=4)
    assert [part.tolist() for part in row] == [[3, 10, 11], [10, 11, END]]
    first, second = rows_of(np.array([3, 10, 11, 12, 13, 14, END]), context=4)
    assert [part.tolist() for part in first] == [[3, 10, 11, 12], [10, 11, 12, 13]]
    assert [part.tolist() for part in second] == [[3, 12, 13, 14], [-1, -1, 14, END]]


def one_epoch(batches: WindowBatches) -> list[tuple[Tensor, Tensor]]:
    return list(itertools.takewhile(lambda _: batches.epoch == 0, batches))


@pytest.mark.parametrize("context", [16, 512])
def test_an_epoch_predicts_every_token_once(train_split: Split, context: int) -> None:
    epoch = one_epoch(WindowBatches(train_split, context, 600, hidden_ratings=0.0, seed=1))
    predicted = np.bincount(np.concatenate([targets[targets >= 0].numpy() for _, targets in epoch]))
    expected = np.bincount(train_split.tokens)
    expected[END] += len(train_split)
    assert predicted.tolist() == expected.tolist()
    assert max(inputs.numel() for inputs, _ in epoch) <= 600
    assert max(inputs.shape[1] for inputs, _ in epoch) <= context
    padded = sum(int((targets < 0).sum()) for _, targets in epoch)
    if context == 512:  # then nothing is read twice
        assert padded < 0.05 * sum(targets.numel() for _, targets in epoch)


def test_a_row_longer_than_a_batch_comes_alone(train_split: Split) -> None:
    epoch = one_epoch(WindowBatches(train_split, 512, 1, hidden_ratings=0.0, seed=1))
    assert len(epoch) == len(train_split)
    assert all(len(inputs) == 1 for inputs, _ in epoch)


def test_what_is_padded_is_not_predicted(train_split: Split) -> None:
    for inputs, targets in one_epoch(WindowBatches(train_split, 512, 600, hidden_ratings=0.0, seed=1)):
        for read, wanted in zip(inputs, targets, strict=True):
            length = int((wanted >= 0).sum())
            assert wanted[:length].tolist() == [*read[1:length].tolist(), END]
            assert (wanted[length:] == -1).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_ratings_is_hidden(train_split: Split, share: float) -> None:
    epoch = one_epoch(WindowBatches(train_split, 512, 600, share, seed=1))
    openings = torch.cat([inputs[:, 0] for inputs, _ in epoch])
    assert set(openings.tolist()) <= set(OPENINGS)
    rated = (train_split.stars > 0).mean()
    assert float((openings != UNKNOWN_RATING).float().mean()) == pytest.approx((1 - share) * rated, abs=0.05)


def test_an_epoch_has_an_order_of_its_own_that_the_seed_decides(train_split: Split) -> None:
    first, again, other = (
        [inputs.tolist() for inputs, _ in itertools.islice(WindowBatches(train_split, 512, 600, 0.3, seed), 5)]
        for seed in (1, 1, 2)
    )
    assert first == again != other
    epochs = WindowBatches(train_split, 512, 600, 0.0, seed=1)
    size = len(one_epoch(WindowBatches(train_split, 512, 600, 0.0, seed=1)))
    two = [inputs.tolist() for inputs, _ in itertools.islice(epochs, 2 * size)]
    assert two[:size] != two[size:]
