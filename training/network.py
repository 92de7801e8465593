"""The network: embedding → recurrent layers → projection → softmax that shares the embedding's weights."""

import itertools

import torch
from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo
from torch import Tensor, nn

from training.cells import ActivationName, CellName, make_cell
from training.dropout import Dropout, drop_words
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
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the units dropped at the three places below, where they have none"
    )
    dropout_input: float | None = Field(
        None, ge=0, lt=1, description="share dropped of the first layer's input, the embedding and the n-grams' vectors"
    )
    dropout_hidden: float | None = Field(None, ge=0, lt=1, description="share dropped between the recurrent layers")
    dropout_output: float | None = Field(None, ge=0, lt=1, description="share dropped of the last layer's output")
    locked_dropout: bool = Field(False, description="drop the same units at all times of a batch (variational dropout)")
    embedding_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of the vocabulary whose embeddings are dropped, whole words, at the input"
    )
    weight_drop: float = Field(0.0, ge=0, lt=1, description="share of the recurrent weights that is dropped")
    ngrams: int = Field(
        0, ge=0, description="frequent pairs of tokens that get a vector of their own, and as many triples"
    )
    ngram_size: int = Field(64, ge=1, description="numbers that stand for such a pair or triple")

    @field_validator("activation")
    @classmethod
    def _elman_has_the_choice(cls, activation: ActivationName, known: ValidationInfo) -> ActivationName:
        if activation != "tanh" and known.data.get("cell") in ("lstm", "gru"):
            raise PydanticCustomError("no_choice", "Only the Elman cell has the choice; give --cell elman, too")
        return activation

    @field_validator("dropout_hidden")
    @classmethod
    def _hidden_is_between_layers(cls, share: float | None, known: ValidationInfo) -> float | None:
        if share and known.data.get("layers") == 1:
            raise PydanticCustomError("one_layer", "Nothing is between the layers of a network of one; give --layers 2")
        return share


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
        cells = [
            make_cell(options.cell, *pair, options.activation, options.weight_drop)
            for pair in itertools.pairwise(sizes)
        ]
        self.cells = nn.ModuleList(cells)
        self.state_sizes = [cell.state_size for cell in cells]
        self.projection = nn.Linear(options.hidden, options.embedding)
        self.ngrams = None
        if options.ngrams:
            self.ngrams = NgramTables(options.ngrams, options.ngram_size, vocabulary_size)
            self.ngrams_in = nn.Linear(self.ngrams.feature_size, options.embedding, bias=False)
            self.ngrams_out = nn.Linear(self.ngrams.feature_size, options.embedding, bias=False)
            self.state_sizes.append(self.ngrams.state_size)
        self.drop_input, self.drop_hidden, self.drop_output = (
            Dropout(options.dropout if share is None else share, options.locked_dropout)
            for share in (options.dropout_input, options.dropout_hidden, options.dropout_output)
        )
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
        if self.training and self.options.embedding_dropout:
            outputs = drop_words(outputs, tokens, self.vocabulary_size, self.options.embedding_dropout)
        before, states = state.split(self.state_sizes, dim=1), []
        if self.ngrams is not None:
            features, context = self.ngrams(tokens, before[-1])
            features = self.drop_input(features)
            outputs = outputs + self.ngrams_in(features)
        outputs = self.drop_input(outputs)
        for cell, cell_state in zip(self.cells, before, strict=False):
            outputs, after = cell(outputs, cell_state, keep)
            outputs = self.drop_output(outputs) if cell is self.cells[-1] else self.drop_hidden(outputs)
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
