"""Calls of the network on rows kept one by one: all that a turn of the engine needs in one call of TorchScript.

Each operation that Python asks of torch gives the interpreter's lock away and waits for it again, and a busy event loop
does not hurry to hand it back: a turn of many small operations spends most of its time waiting. A call of TorchScript
waits once.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

from app.sampling import draw

BLOCK = 64
SOFTMAX_ROWS = 64
"""Rows of probabilities that are there at once while texts are scored."""
SORTED = 8
"""Tokens of a row that are ranked: of a hundred searches for five words one asks for more than six.

The same for all, as of two that are equally probable the one found first depends on it.
"""


class RowCalls(nn.Module):
    """The artifact's `step`, `advance` and `score`, with a list of rows `[S]` for states."""

    block: Final[int] = BLOCK
    sorted: Final[int] = SORTED
    softmax_rows: Final[int] = SOFTMAX_ROWS

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    @torch.jit.export
    def step(self, tokens: list[int], states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Runs one token a row; returns log-probabilities of the next `[B, V]` and the states after."""
        log_probabilities, after = self.network.step(torch.tensor(tokens), torch.stack(states))
        return log_probabilities, after.unbind(0)

    @torch.jit.export
    def decode(
        self,
        tokens: list[int],
        states: list[Tensor],
        temperatures: list[float],
        numbers: Tensor,
        top_p: list[float],
        min_p: list[float],
        end: int,
        interrupt: Tensor,
    ) -> tuple[list[list[int]], list[list[float]], list[float], list[int], Tensor, list[Tensor]]:
        """Runs one token a row, draws the next, and goes on with that for as many steps as `numbers [B, T]` has.

        Ends sooner where a row draws the token `end`, where one is left waiting, and where `interrupt` is not 0.
        Returns the tokens drawn and their log-probabilities, a list for each step, then what else `draw` and `step`
        return of the last of them.
        """
        log_probabilities, state = torch.empty(0), torch.stack(states)
        drawn: list[list[int]] = []
        own: list[list[float]] = []
        following: list[float] = []
        left: list[int] = []
        for step in range(numbers.size(1)):
            log_probabilities, state = self.network.step(torch.tensor(tokens), state)
            tokens, following, left = draw(log_probabilities, temperatures, numbers[:, step : step + 1], top_p, min_p)
            values: list[float] = log_probabilities.gather(1, torch.tensor(tokens).unsqueeze(1)).squeeze(1).tolist()
            drawn.append(tokens)
            own.append(values)
            if len(left) > 0 or end in tokens or int(interrupt) != 0:
                break
        after: list[Tensor] = list(state.unbind(0))
        return drawn, own, following, left, log_probabilities, after

    @torch.jit.export
    def advance(
        self,
        tokens: list[int],
        lengths: list[int],
        states: list[Tensor],
        told: list[int],
        sets: list[Tensor],
        rows: list[list[int]],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Runs `lengths[b]` tokens of row b, at most T, of the `[B, T]` in `tokens`, padded and flattened.

        Returns log-probabilities of the next token in the rows that are `told`, rows `[V]`, and the states after all,
        rows `[S]` that hold no other's memory. Then for each of the `sets`, large ones given as `TokenSet` has them,
        the log-probabilities `[R, SORTED]` of its best tokens in these `rows` of those told, in falling order, and
        these tokens.
        """
        after = self.after(tokens, lengths, torch.stack(states))
        kept = [row.clone() for row in after.unbind(0)]
        values: list[Tensor] = []
        best: list[Tensor] = []
        if len(told) == 0:
            return values, kept, values, best
        if len(told) < len(lengths):
            after = after.index_select(0, torch.tensor(told))
        log_probabilities = self.network.log_probabilities(after)
        for allowed, own in zip(sets, rows):  # noqa: B905 - TorchScript knows no `strict`
            chosen = log_probabilities
            if len(own) < len(told):
                chosen = chosen.index_select(0, torch.tensor(own))
            value, token = self.largest(chosen + allowed)
            values.append(value)
            best.append(token)
        return log_probabilities.unbind(0), kept, values, best

    @torch.jit.export
    def ranked(self, log_probabilities: Tensor, allowed: Tensor) -> tuple[list[float], list[int]]:
        """The best tokens of a large set in one row `[V]`, as `advance` tells them."""
        value, token = self.largest((log_probabilities + allowed).unsqueeze(0))
        values: list[float] = value[0].tolist()
        tokens: list[int] = token[0].tolist()
        return values, tokens

    @torch.jit.export
    def covering(
        self, log_probabilities: list[Tensor], sets: list[Tensor], others: list[list[int]]
    ) -> tuple[list[list[float]], list[list[int]], list[float], list[list[float]]]:
        """Takes rows `[V]`, and for each the numbers `[N]` of a small set of tokens, and other tokens.

        Returns for each the log-probabilities of the best tokens of its set, SORTED at most in falling order, these
        tokens, the probability of the whole set, and the log-probabilities of the other tokens.
        """
        values: list[list[float]] = []
        best: list[list[int]] = []
        sums: list[float] = []
        own: list[list[float]] = []
        for row, members, rest in zip(log_probabilities, sets, others):  # noqa: B905 - TorchScript knows no `strict`
            scores = row.index_select(0, members)
            value, place = torch.topk(scores, min(self.sorted, members.size(0)))
            its_values: list[float] = value.tolist()
            its_best: list[int] = members.index_select(0, place).tolist()
            of_rest: list[float] = row.index_select(0, torch.tensor(rest, dtype=torch.int64)).tolist()
            values.append(its_values)
            best.append(its_best)
            sums.append(float(scores.exp().sum()))
            own.append(of_rest)
        return values, best, sums, own

    @torch.jit.export
    def score(
        self, tokens: list[int], lengths: list[int], states: list[Tensor], ranks: bool
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Takes tokens as `advance` does; returns each one's log-probability and rank `[B, T]`, and the states.

        Ranks are 0 unless asked for, as both are where a row is padded.
        """
        before, state, order, counts = self.walk(tokens, lengths, torch.stack(states))
        size, width = len(lengths), len(tokens) // len(lengths)
        # Where in `[B, T]` the token stands that comes after each of the states before.
        places = torch.cat([order[:count] * width + t for t, count in enumerate(counts)])
        targets = torch.tensor(tokens, dtype=torch.int64).index_select(0, places).unsqueeze(1)
        scores, found = torch.zeros(size * width), torch.zeros(size * width, dtype=torch.int64)
        hidden = torch.cat(before)
        for start in range(0, hidden.size(0), self.softmax_rows):
            own_places = places[start : start + self.softmax_rows]
            log_probabilities = self.network.log_probabilities(hidden[start : start + self.softmax_rows])
            own = log_probabilities.gather(1, targets[start : start + self.softmax_rows])
            scores.index_copy_(0, own_places, own.squeeze(1))
            if ranks:
                # Comparing into floats, as booleans take torch ten times as long to add up.
                better = torch.gt(log_probabilities, own, out=torch.empty_like(log_probabilities)).sum(dim=1)
                found.index_copy_(0, own_places, better.to(torch.int64) + 1)
        after: list[Tensor] = list(state.unbind(0))
        return scores.view(size, width), found.view(size, width), after

    def after(self, tokens: list[int], lengths: list[int], state: Tensor) -> Tensor:
        """The state after every row's tokens; sooner where no row is longer than one before it."""
        for row in range(1, len(lengths)):
            if lengths[row] > lengths[row - 1]:
                return self.walk(tokens, lengths, state)[1]
        size, width = len(lengths), len(tokens) // len(lengths)
        batch = torch.tensor(tokens, dtype=torch.int64).view(size, width)
        count = size
        for t in range(width):
            while count > 0 and lengths[count - 1] <= t:
                count -= 1
            if count == size:
                state = self.network.consume(batch[:, t], state)
            elif count > 0:
                state = torch.cat([self.network.consume(batch[:count, t], state[:count]), state[count:]])
        return state

    def walk(
        self, tokens: list[int], lengths: list[int], state: Tensor
    ) -> tuple[list[Tensor], Tensor, Tensor, list[int]]:
        """Runs every row's tokens; each step runs the rows that have a token there, and no others.

        Returns the states before each step, of the rows that it runs; the states after all, in the order of the rows;
        the rows in the order in which steps run them, the longest first; and how many each step runs.
        """
        batch = torch.tensor(tokens, dtype=torch.int64).view(len(lengths), len(tokens) // len(lengths))
        order = torch.argsort(torch.tensor(lengths), descending=True)
        batch, state = batch.index_select(0, order), state.index_select(0, order)
        before: list[Tensor] = []
        counts: list[int] = []
        for t in range(batch.size(1)):
            count = 0
            for length in lengths:
                count += int(length > t)
            if count == 0:
                break
            before.append(state[:count])
            counts.append(count)
            stepped = self.network.consume(batch[:count, t], state[:count])
            state = torch.cat([stepped, state[count:]])
        return before, state.index_select(0, torch.argsort(order)), order, counts

    def largest(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The largest of each row `[R, V]`, and where they stand.

        Sorting 16 000 numbers takes longer than computing them. So the row is cut into blocks, the best blocks are
        found by their largest number, and only those are sorted: the k largest numbers lie in the k blocks with the
        largest maxima.
        """
        rows, size = scores.size(0), scores.size(1)
        count, rest = size // self.block, size % self.block
        if count < 2 * self.sorted or rest > 0:
            values, places = torch.topk(scores, min(self.sorted, size))
            return values, places
        blocks = scores.view(rows * count, self.block)
        _, chosen = torch.topk(blocks.amax(dim=1).view(rows, count), self.sorted)
        own = chosen.flatten() if rows == 1 else (chosen + torch.arange(0, rows * count, count).unsqueeze(1)).flatten()
        values, inside = torch.topk(blocks.index_select(0, own).view(rows, self.sorted * self.block), self.sorted)
        return values, chosen.gather(1, inside // self.block) * self.block + inside % self.block
