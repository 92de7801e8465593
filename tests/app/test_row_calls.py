"""app/row_calls.py against the artifact's own calls and against sorting."""

import pytest
import torch

from app.language_model import LanguageModel
from app.ranking import TokenSet, Wanted
from app.row_calls import BLOCK, SORTED, RowCalls

ROWS = [[7], [9, 8, 300], [12, 11]]
PADDED, LENGTHS = [7, 0, 0, 9, 8, 300, 12, 11, 0], [1, 3, 2]


@torch.inference_mode()
def test_rows_one_by_one_give_the_bits_of_a_batch(model: LanguageModel) -> None:
    before = list(model.initial_states(3))
    tokens, lengths, state = torch.tensor(PADDED).view(3, 3), torch.tensor(LENGTHS), torch.stack(before)
    log_probabilities, states, *_ = model.calls.advance(PADDED, LENGTHS, before, [0, 1, 2], [], [], [])
    expected = model.advance(tokens, lengths, state)
    assert torch.equal(torch.stack(log_probabilities), expected[0])
    assert torch.equal(torch.stack(states), expected[1])
    some, states, *_ = model.calls.advance(PADDED, LENGTHS, before, [2, 0], [], [], [])
    assert torch.equal(torch.stack(some), expected[0][[2, 0]])
    assert torch.equal(torch.stack(states), expected[1])
    none, states, *_ = model.calls.advance(PADDED, LENGTHS, before, [], [], [], [])
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
        log_probabilities, states, *_ = model.calls.advance(tokens, lengths, before, [0, 1, 2], [], [], [])
        assert torch.equal(torch.stack(log_probabilities), expected[0])
        assert torch.equal(torch.stack(states), expected[1])


@torch.inference_mode()
def test_a_state_holds_no_memory_but_its_own(model: LanguageModel) -> None:
    _, states, *_ = model.calls.advance(PADDED, LENGTHS, list(model.initial_states(3)), [], [], [], [])
    assert [state.untyped_storage().nbytes() for state in states] == [4 * len(state) for state in states]


@torch.inference_mode()
def test_the_best_tokens_of_each_row_are_those_of_its_set(model: LanguageModel) -> None:
    size = model.vocabulary.size
    generator = torch.Generator().manual_seed(1)
    half = TokenSet((torch.rand(size, generator=generator) < 0.5).to(torch.float32))
    few, none = (
        TokenSet(torch.tensor([9, 44, 300, 699]), small=True),
        TokenSet(torch.tensor([], dtype=torch.int64), small=True),
    )
    sets = [half, few, none, half, few]
    tokens = [7, 9, 12, 300, 44]
    wanted = Wanted(enumerate(sets))
    log_probabilities, _, *best = model.calls.advance(
        tokens,
        [1] * len(tokens),
        list(model.initial_states(len(tokens))),
        list(range(len(tokens))),
        *wanted.arguments(),
    )
    ranked = wanted.ranked(*best)
    for row, allowed in enumerate(sets):
        members = allowed.tensor.tolist() if allowed.small else (allowed.tensor == 0).nonzero().flatten().tolist()
        expected = sorted(members, key=lambda token: -log_probabilities[row][token].item())[:SORTED]
        assert ranked[row].tokens == expected
        assert ranked[row].log_probabilities == [log_probabilities[row][token].item() for token in expected]


@pytest.mark.parametrize("size", [SORTED - 1, 2 * SORTED * BLOCK, 40 * BLOCK, 40 * BLOCK + 1])
def test_the_largest_are_found_in_rows_of_any_length(size: int) -> None:
    scores = torch.rand(5, size, generator=torch.Generator().manual_seed(size))
    scores[0] = scores[0].sort().values  # the largest all in one block
    values, places = RowCalls(torch.nn.Identity()).largest(scores)
    expected = scores.sort(dim=1, descending=True)
    assert torch.equal(values, expected.values[:, :SORTED])
    assert torch.equal(places, expected.indices[:, :SORTED])
