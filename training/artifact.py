"""The served network: int8 weights and integer activations, as the TorchScript module that `app` loads.

It knows a recurrent state as one row of floats and nothing else, and a row's result depends on that row alone, to the
bit:

- Weights are int8, -127 to 127, with one scale per output channel. Activations are integers from -63 to 63 with one
  scale per row, taken from that row's largest magnitude, so that no neighbour in a batch can change it. Products add up
  exactly, in int32.
- Seven bits of an activation are what every processor multiplies without overflow: where there is no VNNI, two products
  are added in 16 bits, and 2 × 127 × 127 fits. Only the projection, whose rounding costs most, is given fourteen.
- The embedding is one int8 table for input and output (the weights are tied).
- All else is element-wise, or a softmax of one row.

The first numbers of a state are the last layer's hidden state, so the probabilities of the next token follow from the
state alone. Everything here is plain tensor operations, so that another exporter can take TorchScript's place.
"""

import itertools
from typing import TYPE_CHECKING, Any, Final, Optional

import torch
from torch import Tensor, nn

from training.cells import ElmanCell, GRUCell, LSTMCell
from training.network import Network
from training.ngrams import ABSENT, NgramTables, rows_of
from training.vocabulary import END

ARITHMETIC = 2
"""Raised when the same weights give other numbers; part of what a model's name is made of."""
MAGNITUDE = 127
"""The largest of an int8 weight."""
LEVELS = 63
"""The largest magnitude of an activation."""


def scaled_rows(values: Tensor, largest: int = LEVELS) -> tuple[Tensor, Tensor]:
    """Scales `[N, K]` so that the largest magnitude of each row is `largest`; returns that and the scales, `[N, 1]`."""
    scale = values.abs().amax(dim=1, keepdim=True).clamp_min_(1e-12).div_(largest)
    return values / scale, scale


def quantize_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds activations `[N, K]` to integers, kept as float32; returns them and a scale per row, `[N, 1]`."""
    scaled, scale = scaled_rows(values)
    return scaled.round_(), scale


def quantize_weights(values: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds `[N, K]` to int8; returns that and a scale per row, `[N, 1]`."""
    scaled, scale = scaled_rows(values, MAGNITUDE)
    return scaled.round_().to(torch.int8), scale


if TYPE_CHECKING:
    PackedWeight = Any
else:
    PackedWeight = torch.classes.quantized.LinearPackedParamsBase
    """An int8 weight and its scales in the order in which FBGEMM reads them."""


def pack(weight: Tensor, scale: Tensor) -> PackedWeight:
    """Packs int8 `[N, K]` with scales `[1, N]`."""
    zeros = torch.zeros(weight.size(0), dtype=torch.int64)
    quantized = torch._make_per_channel_quantized_tensor(weight, scale.flatten().double(), zeros, 0)
    return torch.ops.quantized.linear_prepack(quantized, None)


def scaled_product(
    values: Tensor,
    weight: Tensor,
    scale: Tensor,
    packed: Optional[PackedWeight],  # noqa: UP045 - TorchScript
) -> Tensor:
    """Multiplies activations `[B, K]` by int8 `[N, K]`, packed or not, and each column by its `scale [1, N]`."""
    if packed is None:
        return torch._int_mm(values.to(torch.int8), weight.t()).to(torch.float32).mul_(scale)
    # FBGEMM takes numbers without a sign: it adds 64 to each, and takes that away from the sums, which are integers.
    product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(values, 1.0, 64, packed)
    return product


class QuantizedLinear(nn.Module):
    """y = W x + b with int8 W `[N, K]` and a scale per row of W; x has a scale per row of the batch."""

    base: Final[int] = 2 * LEVELS
    """A digit to this base, from half below to half above zero, has the range of an activation."""
    weight: Tensor
    scale: Tensor
    bias: Tensor
    packed: Optional[PackedWeight]  # noqa: UP045 - TorchScript

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        values, scale = quantize_weights(weight.detach().float())
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale.t().contiguous())
        self.register_buffer("bias", bias.detach().float().clone())
        self.packed = None

    def forward(self, values: Tensor) -> Tensor:
        """Takes float `[B, K]`, which is rounded to 7 bits; returns float `[B, N]`."""
        rounded, scale = quantize_rows(values)
        return scaled_product(rounded, self.weight, self.scale, self.packed).mul_(scale).add_(self.bias)

    def precise(self, values: Tensor) -> Tensor:
        """The same of `values` rounded to 14 bits: two digits to the base of 126."""
        scaled, scale = scaled_rows(values)
        first = scaled.round()
        second = scaled.sub_(first).mul_(self.base).round_()
        both = scaled_product(torch.cat([first, second]), self.weight, self.scale, self.packed)
        product = both[: values.size(0)].add_(both[values.size(0) :].div_(self.base))
        return product.mul_(scale).add_(self.bias)

    @torch.jit.export
    def pack(self) -> None:
        self.packed = pack(self.weight, self.scale)


class QuantizedElman(nn.Module):
    """One step of `cells.ElmanCell`."""

    def __init__(self, cell: ElmanCell, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.state_size = cell.state_size
        self.by_input = QuantizedLinear(cell.weight_ih, cell.bias)
        self.by_hidden = QuantizedLinear(cell.weight_hh, torch.zeros_like(cell.bias))

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        total = self.by_input(values) + self.by_hidden(state)
        if self.activation == "relu":
            return torch.relu(total)
        if self.activation == "sigmoid":
            return torch.sigmoid(total)
        if self.activation == "arctan":
            return torch.atan(total)
        return torch.tanh(total)


class QuantizedGRU(nn.Module):
    """One step of `cells.GRUCell`."""

    def __init__(self, cell: GRUCell) -> None:
        super().__init__()
        self.size = cell.hidden_size
        self.state_size = cell.state_size
        bias = torch.zeros_like(cell.bias)
        bias[2 * self.size :] = cell.candidate_bias
        self.by_input = QuantizedLinear(cell.weight_ih, cell.bias)
        self.by_hidden = QuantizedLinear(cell.weight_hh, bias)

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        from_input, from_hidden = self.by_input(values), self.by_hidden(state)
        gates = torch.sigmoid(from_input[:, : 2 * self.size] + from_hidden[:, : 2 * self.size])
        reset, update = gates[:, : self.size], gates[:, self.size :]
        candidate = torch.tanh(from_input[:, 2 * self.size :] + reset * from_hidden[:, 2 * self.size :])
        return (1 - update) * candidate + update * state


class QuantizedLSTM(nn.Module):
    """One step of `cells.LSTMCell`; the state is `[h, c]`, of which c stays in float."""

    def __init__(self, cell: LSTMCell) -> None:
        super().__init__()
        self.size = cell.hidden_size
        self.state_size = cell.state_size
        self.by_input = QuantizedLinear(cell.weight_ih, cell.bias)
        self.by_hidden = QuantizedLinear(cell.weight_hh, torch.zeros_like(cell.bias))

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        n = self.size
        gates = self.by_input(values).add_(self.by_hidden(state[:, :n]))
        squashed = torch.sigmoid(gates)
        memory = squashed[:, n : 2 * n] * state[:, n:] + squashed[:, :n] * torch.tanh(gates[:, 2 * n : 3 * n])
        return torch.cat([squashed[:, 3 * n :] * torch.tanh(memory), memory], dim=1)


class QuantizedNgrams(nn.Module):
    """What the last pair and the last triple of tokens add to the cells' input and to the output, both `[B, E]`.

    One look-up finds both: their keys stand in one sorted array, the triples behind the pairs. The state is the last
    token and the two before it, the oldest first, and what they add to the output.
    """

    first_word: Final[int] = END
    """The first token that does not open a review."""
    keys: Tensor
    table: Tensor
    scale: Tensor
    oldest_place: Tensor

    def __init__(self, tables: NgramTables, into: nn.Linear, out: nn.Linear) -> None:
        super().__init__()
        size = tables.vocabulary_size
        triples = size * size  # added to the key of a triple, and more than that of any pair
        pair_keys, triple_keys = (tables.get_buffer(f"keys_{n}")[:-1] for n in (2, 3))
        known = (pair_keys[pair_keys < ABSENT], triple_keys[triple_keys < ABSENT] + triples)
        self.register_buffer("keys", torch.cat([*known, torch.tensor([ABSENT])]))
        pairs, triples_table = (table.detach() for table in tables.tables)
        rows = [torch.zeros(1, pairs.shape[1]), pairs[1 : len(known[0]) + 1], triples_table[1 : len(known[1]) + 1]]
        table, scale = quantize_weights(torch.cat(rows))
        self.register_buffer("table", table)
        self.register_buffer("scale", scale.squeeze(1))
        self.register_buffer("oldest_place", torch.tensor([[0, triples]]))  # a pair's key leaves the oldest token out
        self.vocabulary_size = size
        self.embedding_size = out.out_features
        self.state_size = 3 + self.embedding_size
        self.linear = QuantizedLinear(torch.cat([into.weight, out.weight]), torch.zeros(2 * self.embedding_size))

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]` and the state before; returns what is added to the input, and the state after."""
        keep = (tokens >= self.first_word).to(torch.float32).unsqueeze(1)  # an opening starts afresh
        context = torch.cat([state[:, 1:3], tokens.to(torch.float32).unsqueeze(1)], dim=1).mul_(keep)
        words = context.to(torch.int64)
        # The key of the pair and of the triple, to which V² is added: (oldest + 1)·V² + before·V + last.
        keys = (words[:, 0:1] + 1) * self.oldest_place + (words[:, 1:2] * self.vocabulary_size + words[:, 2:3])
        rows = rows_of(self.keys, keys)
        added = self.linear((self.table[rows] * self.scale[rows].unsqueeze(2)).flatten(1))
        return added[:, : self.embedding_size], torch.cat([context, added[:, self.embedding_size :]], dim=1)


def _quantized_cell(cell: nn.Module, activation: str) -> nn.Module:
    if isinstance(cell, LSTMCell):
        return QuantizedLSTM(cell)
    if isinstance(cell, GRUCell):
        return QuantizedGRU(cell)
    assert isinstance(cell, ElmanCell)
    return QuantizedElman(cell, activation)


class ServedNetwork(nn.Module):
    """What the artifact holds; `state [B, S]` is float32 throughout."""

    embedding: Tensor
    embedding_scale: Tensor
    output_scale: Tensor
    bias: Tensor
    packed: Optional[PackedWeight]  # noqa: UP045 - TorchScript
    softmax_rows: Final[int] = 64
    """Rows of the vocabulary's logits that `score` holds at once."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        embedding, scale = quantize_weights(network.embedding.detach())
        self.register_buffer("embedding", embedding)
        self.register_buffer("embedding_scale", scale)
        self.register_buffer("output_scale", scale.t().contiguous())
        self.register_buffer("bias", network.output_bias.detach())
        self.packed = None
        self.cells = nn.ModuleList(_quantized_cell(cell, network.options.activation) for cell in network.cells)
        self.projection = QuantizedLinear(network.projection.weight, network.projection.bias)
        self.hidden_size = network.options.hidden
        sizes = network.state_sizes[: len(network.cells)]
        # The last layer stands first in the state and the first begins where it ends; the n-grams' part is at the end.
        ends = list(itertools.accumulate(sizes[:-1], initial=sizes[-1]))
        self.slices = [*itertools.pairwise(ends), (0, sizes[-1])]
        self.state_size = sum(sizes)
        self.ngrams = None
        if network.ngrams is not None:
            self.ngrams = QuantizedNgrams(network.ngrams, network.ngrams_in, network.ngrams_out)
            self.state_size += self.ngrams.state_size

    @torch.jit.export
    def pack(self) -> None:
        """Has FBGEMM multiply, by weights packed once: the same bits, many times sooner on processors without VNNI.

        It takes the memory of the weights once more. For whoever has loaded the module: it is not to be saved packed.
        """
        self.packed = pack(self.embedding, self.output_scale)
        self.projection.pack()
        if self.ngrams is not None:
            self.ngrams.linear.pack()
        for cell in self.cells:
            cell.by_input.pack()
            cell.by_hidden.pack()

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """The state before any token, `[B, S]`."""
        return torch.zeros([batch, self.state_size], dtype=torch.float32)

    @torch.jit.export
    def log_probabilities(self, state: Tensor) -> Tensor:
        """Natural log-probabilities of the next token, `[B, V]`, after a state that has taken a token."""
        output = self.projection.precise(state[:, : self.hidden_size])
        if self.ngrams is not None:
            output = output.add_(state[:, -self.ngrams.embedding_size :])
        projected, scale = quantize_rows(output)
        logits = scaled_product(projected, self.embedding, self.output_scale, self.packed)
        return torch.log_softmax(logits.mul_(scale).add_(self.bias), dim=1)

    def consume(self, tokens: Tensor, state: Tensor) -> Tensor:
        """The state after one more token each, `tokens [B]`."""
        values = self.embedding.index_select(0, tokens) * self.embedding_scale.index_select(0, tokens)
        states: list[Tensor] = []
        context: list[Tensor] = []
        if self.ngrams is not None:
            added, after = self.ngrams(tokens, state[:, -self.ngrams.state_size :])
            context.append(after)
            values = values.add_(added)
        for index, cell in enumerate(self.cells):
            start, end = self.slices[index]
            after = cell(values, state[:, start:end])
            values = after[:, : self.hidden_size]
            states.append(after)
        return torch.cat(states[-1:] + states[:-1] + context, dim=1)

    def consume_some(self, tokens: Tensor, rows: Tensor, state: Tensor) -> Tensor:
        """The same for the `rows [B]` that are true; the others keep their state."""
        # Arithmetic, as choosing by booleans takes torch ten times as long; exact, for the factors are 0 and 1.
        chosen = rows.to(torch.float32).unsqueeze(1)
        return self.consume(tokens, state) * chosen + state * (1.0 - chosen)

    def read_out(self, state: Tensor) -> Tensor:
        """What `log_probabilities` reads of a state."""
        if self.ngrams is not None:
            return torch.cat([state[:, : self.hidden_size], state[:, -self.ngrams.embedding_size :]], dim=1)
        return state[:, : self.hidden_size]

    @torch.jit.export
    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]`; returns log-probabilities of the next token `[B, V]` and the state after."""
        state = self.consume(tokens, state)
        return self.log_probabilities(state), state

    @torch.jit.export
    def advance(self, tokens: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B, T]`, of which row b has `lengths[b] ≥ 1`; returns as `step` does after each row's last."""
        for t in range(tokens.size(1)):
            state = self.consume_some(tokens[:, t], t < lengths, state)
        return self.log_probabilities(state), state

    @torch.jit.export
    def score(self, tokens: Tensor, lengths: Tensor, state: Tensor, ranks: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Scores each token given all before it, `tokens [B, T]`, from a state that has taken a token.

        Returns log-probabilities `[B, T]`; ranks `[B, T]` (1 is the most probable token; 0 unless `ranks`); the state
        after. Where a row is padded, what stands there means nothing.
        """
        before: list[Tensor] = []
        for t in range(tokens.size(1)):
            before.append(self.read_out(state))
            state = self.consume_some(tokens[:, t], t < lengths, state)
        hidden = torch.stack(before, dim=1).flatten(0, 1)
        targets = tokens.flatten().unsqueeze(1)
        scores: list[Tensor] = []
        places: list[Tensor] = []
        for start in range(0, hidden.size(0), self.softmax_rows):
            log_probabilities = self.log_probabilities(hidden[start : start + self.softmax_rows])
            own = log_probabilities.gather(1, targets[start : start + self.softmax_rows])
            scores.append(own.squeeze(1))
            if ranks:
                places.append((log_probabilities > own).sum(dim=1) + 1)
        rank = torch.cat(places) if ranks else torch.zeros_like(targets)
        return torch.cat(scores).view_as(tokens), rank.view_as(tokens), state
