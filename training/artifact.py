"""The served network: int8 weights and integer activations, as the TorchScript module that `app` loads.

It knows a recurrent state as one row of floats and nothing else, and a row's result depends on that row alone, to the
bit:

- Products are of int8 weights and activations that are levels, whole numbers from -64 to 64 (`quantization.py`).
- What a level is worth is the same for all rows and multiplied into the weights, so that no neighbour in a batch can
  change it. A hidden state is between -1 and 1 by its equations; of the embedding and the n-grams' vectors the largest
  number is known; only what the softmax reads has no bound that is of use, so the export looks for one
  (`usual_magnitudes`), and what goes beyond is cut.
- All else is element-wise, or a softmax of one row.

A call for one token takes as long to ask for its operations as to compute them, so there are few: what a cell reads
stands in one row, multiplied once, and what the projection reads stands first in the state. The probabilities of the
next token follow from the state alone. Everything here is plain tensor operations, so that another exporter can take
TorchScript's place.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

from training.network import Network
from training.ngrams import ABSENT, NgramTables
from training.quantization import LEVELS, QuantizedLinear, quantize_table
from training.quantized_cells import quantized_cell
from training.vocabulary import END, UNKNOWN_RATING

ARITHMETIC = 3
"""Raised when the same weights give other numbers; part of what a model's name is made of."""


class QuantizedNgrams(nn.Module):
    """The vectors of the last pair and the last triple of tokens, as levels; what is known of them is two tokens.

    One look-up finds both: their keys stand in one sorted array, the triples behind the pairs. They are kept in
    float64, in which whole numbers up to 2^53 are exact.
    """

    keys: Tensor
    table: Tensor
    words: Tensor
    places: Tensor
    first_triple: Tensor

    def __init__(self, tables: NgramTables) -> None:
        super().__init__()
        size = tables.vocabulary_size
        triples = size * size  # added to the key of a triple, and more than that of any pair
        pair_keys, triple_keys = (tables.get_buffer(f"keys_{n}")[:-1] for n in (2, 3))
        known = (pair_keys[pair_keys < ABSENT], triple_keys[triple_keys < ABSENT] + triples)
        # The first and the last are those of no n-gram, so that every search ends at one; the first has row 0.
        self.register_buffer("keys", torch.cat([torch.tensor([-1]), *known, torch.tensor([ABSENT])]).double())
        pairs, triples_table = (table.detach() for table in tables.tables)
        rows = [torch.zeros(1, pairs.shape[1]), pairs[1 : len(known[0]) + 1], triples_table[1 : len(known[1]) + 1]]
        table, self.worth = quantize_table(torch.cat(rows))
        self.register_buffer("table", table)
        self.feature_size = tables.feature_size
        words = torch.arange(size, dtype=torch.float32)
        words[:END] = 0  # an opening is no word
        self.register_buffer("words", words)
        # The key of the pair is before · V + last, that of the triple (oldest + 1) · V² + before · V + last.
        self.register_buffer("places", torch.tensor([[0, triples], [size, size], [1, 1]], dtype=torch.float64))
        self.register_buffer("first_triple", torch.tensor([[0, triples]], dtype=torch.float64))

    def forward(self, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]` and the two words before; returns both vectors, `[B, F]`, and the two last words."""
        words = torch.cat([context, self.words.index_select(0, tokens).unsqueeze(1)], dim=1)
        wanted = torch.addmm(self.first_triple, words.to(torch.float64), self.places)
        place = torch.searchsorted(self.keys, wanted).flatten()
        rows = place * (self.keys.index_select(0, place) == wanted.flatten())
        return self.table.index_select(0, rows).view(-1, self.feature_size), words[:, 1:]


WRITTEN_ROWS, WRITTEN_STEPS, WRITTEN_SEED = 64, 100, 1
USUAL = 0.999
LEAST = 1e-12


@torch.no_grad()
def usual_magnitudes(network: Network) -> tuple[float, float]:
    """Has the network write, and measures it: needs no reviews, and gives the same numbers each time.

    Returns the magnitudes that what the softmax reads, and the hidden states of all layers, keep to in 999 of 1 000
    places.
    """
    generator = torch.Generator().manual_seed(WRITTEN_SEED)
    tokens, state = torch.full((WRITTEN_ROWS,), UNKNOWN_RATING), network.initial_state(WRITTEN_ROWS)
    outputs, hidden = [], []
    for _ in range(WRITTEN_STEPS):
        projected, state = network(tokens[None], state)
        outputs.append(projected[0].abs().amax(dim=1))
        # Only of the Elman cell is the bound unknown, and its state is h alone.
        hidden.append(state[:, : network.options.layers * network.options.hidden].abs().amax(dim=1))
        tokens = torch.multinomial(network.log_probabilities(projected[0]).exp(), 1, generator=generator)[:, 0]
        tokens[tokens == END] = UNKNOWN_RATING
    of_outputs, of_hidden = (max(torch.cat(found).quantile(USUAL).item(), LEAST) for found in (outputs, hidden))
    return of_outputs, of_hidden


class ServedNetwork(nn.Module):
    """What the artifact holds; `state [B, S]` is float32 throughout.

    It has, in this order, the last layer's h and the n-grams' vectors, which are read out; the h of the layers before;
    all layers' c, if they have one; and the two last words, if there are n-grams.
    """

    inputs: Tensor
    levels: Final[int] = LEVELS
    softmax_rows: Final[int] = 64
    """Rows of the vocabulary's logits that `score` holds at once."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        options = network.options
        output, hidden = usual_magnitudes(network)
        bounds = {"arctan": math.pi / 2, "relu": hidden}  # all others stay between -1 and 1
        worth_hidden, worth_output = bounds.get(options.activation, 1.0) / LEVELS, output / LEVELS
        embedding = network.embedding.detach()
        inputs, worth_input = quantize_table(embedding)
        self.register_buffer("inputs", inputs)
        self.ngrams = None
        by_layer = [cell.weight_ih.detach() * worth_hidden for cell in network.cells]
        by_layer[0] = network.cells[0].weight_ih.detach() * worth_input
        read_out = [network.projection.weight.detach() * worth_hidden]
        if network.ngrams is not None:
            self.ngrams = QuantizedNgrams(network.ngrams)
            through = network.cells[0].weight_ih.detach() @ network.ngrams_in.weight.detach()
            by_layer[0] = torch.cat([by_layer[0], through * self.ngrams.worth], dim=1)
            read_out.append(network.ngrams_out.weight.detach() * self.ngrams.worth)
        cells = zip(network.cells, by_layer, strict=True)
        self.cells = nn.ModuleList(quantized_cell(cell, options.activation, w, worth_hidden) for cell, w in cells)
        self.projection = QuantizedLinear(
            torch.cat(read_out, dim=1) / worth_output, network.projection.bias / worth_output
        )
        self.output = QuantizedLinear(embedding * worth_output, network.output_bias)
        self.hidden_size, self.layers = options.hidden, options.layers
        self.read_size = self.projection.weight.size(1)
        self.memory_start = self.read_size + (self.layers - 1) * self.hidden_size
        self.memory_size = options.hidden if options.cell == "lstm" else 0
        self.state_size: int = self.memory_start + self.layers * self.memory_size + (2 if options.ngrams else 0)

    @torch.jit.export
    def pack(self) -> None:
        """Has FBGEMM multiply, by weights packed once: the same bits, many times sooner on processors without VNNI.

        It takes the memory of the weights once more. For whoever has loaded the module: it is not to be saved packed.
        """
        self.output.pack()
        self.projection.pack()
        for cell in self.cells:
            cell.pack()

    @torch.jit.export
    def initial_state(self, batch: int) -> Tensor:
        """The state before any token, `[B, S]`."""
        return torch.zeros([batch, self.state_size], dtype=torch.float32)

    @torch.jit.export
    def log_probabilities(self, state: Tensor) -> Tensor:
        """Natural log-probabilities of the next token, `[B, V]`, after a state that has taken a token."""
        projected = self.projection(state[:, : self.read_size]).clamp_(-self.levels, self.levels)
        return torch.log_softmax(self.output(projected), dim=1)

    def consume(self, tokens: Tensor, state: Tensor) -> Tensor:
        """The state after one more token each, `tokens [B]`."""
        inputs = [self.inputs.index_select(0, tokens)]
        features: list[Tensor] = []
        context: list[Tensor] = []
        if self.ngrams is not None:
            vectors, words = self.ngrams(tokens, state[:, -2:])
            features.append(vectors)
            inputs.append(vectors)
            context.append(words)
        hidden: list[Tensor] = []
        memory: list[Tensor] = []
        for index, cell in enumerate(self.cells):
            start = 0 if index == self.layers - 1 else self.read_size + index * self.hidden_size
            kept = self.memory_start + index * self.memory_size
            own, cell_memory = cell(
                inputs, state[:, start : start + self.hidden_size], state[:, kept : kept + self.memory_size]
            )
            inputs = [own]
            hidden.append(own)
            memory.append(cell_memory)
        return torch.cat(hidden[-1:] + features + hidden[:-1] + memory + context, dim=1)

    def consume_some(self, tokens: Tensor, rows: Tensor, state: Tensor) -> Tensor:
        """The same for the `rows [B]` that are true; the others keep their state."""
        # Arithmetic, as choosing by booleans takes torch ten times as long; exact, for the factors are 0 and 1.
        chosen = rows.to(torch.float32).unsqueeze(1)
        return self.consume(tokens, state) * chosen + state * (1.0 - chosen)

    def read_out(self, state: Tensor) -> Tensor:
        """What `log_probabilities` reads of a state."""
        return state[:, : self.read_size]

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
