"""The network: embedding → recurrent layers → projection → softmax that shares the embedding's weights."""

import itertools

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

from training.cells import ActivationName, CellName, make_cell
from training.ngrams import NgramTables
from training.vocabulary import END, OPENINGS


class NetworkOptions(BaseModel):
    """The shape of a network; saved beside its weights, so that it can be rebuilt from the file alone."""

    cell: CellName = Field("lstm", description="recurrent cell")
    activation: ActivationName = Field("tanh", description="activation function of the Elman cell")
    embedding: int = Field(256, ge=1, description="numbers that stand for a token, shared by input and output")
    # Vector instructions round σ and tanh otherwise than the scalar code that takes what is left over. A multiple of
    # the widest (two AVX-512 registers) leaves nothing over, and a served row has the same bits in a batch as alone.
    hidden: int = Field(
        512, ge=32, multiple_of=32, description="hidden units of each recurrent layer, a multiple of 32"
    )
    layers: int = Field(1, ge=1, le=8, description="recurrent layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the units dropped before and after the recurrence")
    ngrams: int = Field(
        0, ge=0, description="frequent pairs of tokens that get a vector of their own, and as many triples"
    )
    ngram_size: int = Field(64, ge=1, description="numbers that stand for such a pair or triple")


class Network(nn.Module):
    """`forward` gives the hidden states that the loss turns into probabilities; `log_probabilities` gives those.

    Weight tying: Press & Wolf 2017; Inan et al. 2017. The projection between lets the hidden layer be wider than the
    embedding.
    """

    opening_mask: Tensor

    def __init__(self, options: NetworkOptions, vocabulary_size: int) -> None:
        super().__init__()
        self.options, self.vocabulary_size = options, vocabulary_size
        self.embedding = nn.Parameter(torch.randn(vocabulary_size, options.embedding) * options.embedding**-0.5)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        sizes = [options.embedding, *[options.hidden] * options.layers]
        cells = [make_cell(options.cell, *pair, options.activation) for pair in itertools.pairwise(sizes)]
        self.cells = nn.ModuleList(cells)
        self.state_sizes = [cell.state_size for cell in cells]
        self.projection = nn.Linear(options.hidden, options.embedding)
        self.ngrams = None
        if options.ngrams:
            self.ngrams = NgramTables(options.ngrams, options.ngram_size, vocabulary_size)
            self.ngrams_in = nn.Linear(self.ngrams.feature_size, options.embedding, bias=False)
            self.ngrams_out = nn.Linear(self.ngrams.feature_size, options.embedding, bias=False)
            self.state_sizes.append(self.ngrams.state_size)
        self.dropout = nn.Dropout(options.dropout)
        self.register_buffer("opening_mask", torch.zeros(vocabulary_size), persistent=False)
        self.opening_mask[list(OPENINGS)] = -torch.inf

    def initial_state(self, batch: int) -> Tensor:
        """Returns the state that knows nothing, `[B, S]`, S the sum of the layers' state sizes."""
        return self.embedding.new_zeros(batch, sum(self.state_sizes))

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [T, B]` and `state [B, S]`; returns projected hidden states `[T, B, E]` and the last state.

        An opening token makes the network forget what came before.
        """
        keep = (tokens >= END).to(self.embedding.dtype)
        outputs = nn.functional.embedding(tokens, self.embedding)
        before, states = state.split(self.state_sizes, dim=1), []
        if self.ngrams is not None:
            features, context = self.ngrams(tokens, before[-1])
            features = self.dropout(features)
            outputs = outputs + self.ngrams_in(features)
        outputs = self.dropout(outputs)
        for cell, cell_state in zip(self.cells, before, strict=False):
            outputs, after = cell(outputs, cell_state, keep)
            outputs = self.dropout(outputs)
            states.append(after)
        projected = self.projection(outputs)
        if self.ngrams is not None:
            projected = projected + self.ngrams_out(features)
            states.append(context)
        return projected, torch.cat(states, dim=1)

    @property
    def output_bias(self) -> Tensor:
        """The softmax's bias `[V]`, minus infinity for openings, which are given and never predicted."""
        return self.bias + self.opening_mask

    def log_probabilities(self, projected: Tensor) -> Tensor:
        """Turns projected hidden states `[..., E]` into natural log-probabilities of the next token `[..., V]`."""
        logits = nn.functional.linear(projected, self.embedding, self.output_bias)
        return torch.log_softmax(logits.float(), dim=-1)
