"""app/row_calls.py against the artifact's own calls and against sorting."""

import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from app.batch import NEVER
from app.interrupt import Interrupt
from app.language_model import LanguageModel
from app.ranking import Ranked, TokenSet, Wanted
from app.row_calls import BLOCK, SORTED, RowCalls

ROWS = [[7], [9, 8, 300], [12, 11]]
PADDED, LENGTHS = [7, 0, 0, 9, 8, 300, 12, 11, 0], [1, 3, 2]


@torch.inference_mode()
def test_rows_one_by_one_give_the_bits_of_a_batch(model: LanguageModel) -> None:
    before = list(model.initial_states(3))
    tokens, lengths, state = torch.tensor(PADDED).view(3, 3), torch.tensor(LENGTHS), torch.stack(before)
    log_probabilities, states, *_ = model.calls.advance(PADDED, LENGTHS, before, [0, 1, 2], [], [])
    expected = model.advance(tokens, lengths, state)
    assert torch.equal(torch.stack(log_probabilities), expected[0])
    assert torch.equal(torch.stack(states), expected[1])
    some, states, *_ = model.calls.advance(PADDED, LENGTHS, before, [2, 0], [], [])
    assert torch.equal(torch.stack(some), expected[0][[2, 0]])
    assert torch.equal(torch.stack(states), expected[1])
    none, states, *_ = model.calls.advance(PADDED, LENGTHS, before, [], [], [])
    assert (none, len(states)) == ([], 3)
    assert torch.equal(torch.stack(states), expected[1])
    for told in (True, False):
        scores, ranks, states = model.calls.score(PADDED, LENGTHS, before, told)
        *both, after = model.score(tokens, lengths, state, told)
        there = torch.arange(3) < lengths[:, None]
        for found, wanted in zip((scores, ranks), both, strict=True):
            assert torch.equal(found[there], wanted[there])
            assert not found[~there].any()
        assert torch.equal(torch.stack(states), after)
    log, states = model.calls.step([7, 9, 12], before)
    for found, wanted in zip((log, torch.stack(states)), model.step(torch.tensor([7, 9, 12]), state), strict=True):
        assert torch.equal(found, wanted)


@torch.inference_mode()
def test_rows_none_of_which_ends_before_another_give_the_same_bits(model: LanguageModel) -> None:
    before = list(model.initial_states(3))
    tokens = [7, 44, 9, 8, 12, 11]
    expected = model.advance(torch.tensor(tokens).view(3, 2), torch.tensor([2, 2, 2]), torch.stack(before))
    for lengths in ([2, 2, 2], [2, 5, 3]):  # of rows that go on in the next turn, too
        log_probabilities, states, *_ = model.calls.advance(tokens, lengths, before, [0, 1, 2], [], [])
        assert torch.equal(torch.stack(log_probabilities), expected[0])
        assert torch.equal(torch.stack(states), expected[1])


@torch.inference_mode()
def test_rows_none_of_which_is_longer_than_one_before_it_give_the_bits_of_each_alone(model: LanguageModel) -> None:
    # Some end before others, two at once, one has nothing to run, one goes on in the next turn.
    rows, lengths = [[9, 8, 300], [44, 5, 6], [12, 0, 0], [7, 0, 0], [0, 0, 0]], [5, 3, 1, 1, 0]
    _, before = model.step(torch.tensor([7, 9, 12, 44, 300]), model.initial_state(5))
    tokens = [token for row in rows for token in row]
    _, states, *_ = model.calls.advance(tokens, lengths, list(before), [], [], [])
    for row, length, own, state in zip(rows, lengths, before, states, strict=True):
        expected = own.unsqueeze(0)
        for token in row[:length]:
            _, expected = model.step(torch.tensor([token]), expected)
        assert torch.equal(state, expected[0])


SETTINGS = [1.0, 0.7, 1.3], [0.95, 1.0, 0.9], [0.0, 0.01, 0.0]
"""Temperatures, top-p and min-p of three rows."""
NO_TOKEN = -1


def decoded(model: LanguageModel, last: list[int], states: list[Tensor], numbers: Tensor, end: int = NO_TOKEN) -> Any:
    temperatures, top_p, min_p = SETTINGS
    return model.calls.decode(last, states, temperatures, numbers.clone(), top_p, min_p, end, NEVER)


def random_numbers(steps: int) -> Tensor:
    return torch.rand(3, steps, dtype=torch.double, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_several_tokens_in_one_call_are_those_of_as_many_calls(model: LanguageModel) -> None:
    last, states, numbers = [7, 9, 12], list(model.initial_states(3)), random_numbers(5)
    tokens, values, _, left, probabilities, after = decoded(model, last, states, numbers)
    assert (len(tokens), left) == (5, [])
    for step in range(5):
        (last,), (own,), _, left, expected, states = decoded(model, last, states, numbers[:, step : step + 1])
        assert (last, own, left) == (tokens[step], values[step], [])
    assert torch.equal(probabilities, expected)
    assert all(map(torch.equal, after, states))


@torch.inference_mode()
def test_a_row_that_ends_ends_the_call(model: LanguageModel) -> None:
    numbers = random_numbers(5)
    tokens, *_ = decoded(model, [7, 9, 12], list(model.initial_states(3)), numbers)
    end = tokens[2][1]
    expected = 1 + next(step for step, row in enumerate(tokens) if end in row)
    ended, *_ = decoded(model, [7, 9, 12], list(model.initial_states(3)), numbers, end)
    assert ended == tokens[:expected]


@torch.inference_mode()
def test_a_row_that_is_left_without_a_token_ends_the_call(model: LanguageModel) -> None:
    numbers = torch.full((1, 16), 0.5, dtype=torch.double)
    tokens, _, _, left, *_ = model.calls.decode(
        [7], list(model.initial_states(1)), [1.0], numbers, [1e-9], [0.0], NO_TOKEN, NEVER
    )
    assert len(tokens) < 16  # only the most probable token passes, which three draws may miss
    assert left == [0]


def test_who_comes_ends_a_call_that_is_under_way(model: LanguageModel) -> None:
    interrupt, told = Interrupt(), list[list[int]]()
    numbers = torch.rand(1, 100_000, dtype=torch.double)

    def write() -> None:
        with torch.inference_mode():
            tokens, *_ = model.calls.decode(
                [7], list(model.initial_states(1)), [1.0], numbers, [1.0], [0.0], NO_TOKEN, interrupt.mark
            )
        told.extend(tokens)

    writing = threading.Thread(target=write)
    writing.start()
    interrupt.ask()
    writing.join()
    assert 1 <= len(told) < 100_000
    first = len(told)
    write()
    assert len(told) == first + 1  # until it is withdrawn, a call ends after its first step
    interrupt.withdraw()
    assert interrupt.mark.item() == 0


@torch.inference_mode()
def test_a_state_holds_no_memory_but_its_own(model: LanguageModel) -> None:
    _, states, *_ = model.calls.advance(PADDED, LENGTHS, list(model.initial_states(3)), [], [], [])
    assert [state.untyped_storage().nbytes() for state in states] == [4 * len(state) for state in states]


@torch.inference_mode()
def test_the_best_tokens_of_each_row_are_those_of_its_set(model: LanguageModel) -> None:
    size = model.vocabulary.size
    generator = torch.Generator().manual_seed(1)
    half = TokenSet((torch.rand(size, generator=generator) < 0.5).to(torch.float32))
    third = TokenSet((torch.rand(size, generator=generator) < 0.3).to(torch.float32))
    sets = [half, third, third, half, third]
    tokens = [7, 9, 12, 300, 44]
    wanted = Wanted()
    wanted.add(0, sets[:2])
    wanted.add(2, sets[2:])
    log_probabilities, _, *best = model.calls.advance(
        tokens,
        [1] * len(tokens),
        list(model.initial_states(len(tokens))),
        list(range(len(tokens))),
        *wanted.arguments(),
    )
    ranked = wanted.ranked(*best)
    for row, allowed in enumerate(sets):
        members = (allowed.tensor == 0).nonzero().flatten().tolist()
        expected = sorted(members, key=lambda token: -log_probabilities[row][token].item())[:SORTED]
        assert ranked[row].tokens == expected
        assert ranked[row].log_probabilities == [log_probabilities[row][token].item() for token in expected]
        assert Ranked(*model.calls.ranked(log_probabilities[row], allowed.tensor)) == ranked[row]


@torch.inference_mode()
def test_what_covers_letters_is_ranked_and_added_up(model: LanguageModel) -> None:
    rows, _ = model.step(torch.tensor([7, 9, 12]), model.initial_state(3))
    sets, others = [[9, 44, 300, 699], [], list(range(100, 120))], [[5], [], [8, 3]]
    members = [torch.tensor(each, dtype=torch.int64) for each in sets]
    values, best, sums, own = model.calls.covering(list(rows), members, others)
    for row, tokens, rest, *found in zip(rows, sets, others, values, best, sums, own, strict=True):
        expected = sorted(tokens, key=lambda token: -row[token].item())[:SORTED]
        assert found[1] == expected
        assert found[0] == row[expected].tolist()
        assert found[2] == pytest.approx(sum(row[token].exp().item() for token in tokens))
        assert found[3] == row[rest].tolist()


@pytest.mark.parametrize("size", [SORTED - 1, 2 * SORTED * BLOCK, 40 * BLOCK, 40 * BLOCK + 1])
def test_the_largest_are_found_in_rows_of_any_length(size: int) -> None:
    scores = torch.rand(5, size, generator=torch.Generator().manual_seed(size))
    scores[0] = scores[0].sort().values  # the largest all in one block
    values, places = RowCalls(torch.nn.Identity()).largest(scores)
    expected = scores.sort(dim=1, descending=True)
    assert torch.equal(values, expected.values[:, :SORTED])
    assert torch.equal(places, expected.indices[:, :SORTED])
