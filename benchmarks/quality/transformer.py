"""A GPT-style transformer: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".

Pre-norm decoder blocks of causal self-attention and a GELU network, learned positions, and output weights that are the
embeddings. By default it has as many parameters as the LSTM it is compared with, within a thousandth.
"""

from collections.abc import Sequence
from typing import Self

import torch
from pydantic import BaseModel, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.quality.softmax import log_probabilities_of
from benchmarks.quality.windows import windows
from training.evaluate import Scorer
from training.vocabulary import OPENINGS

INITIAL_DEVIATION = 0.02
KeysAndValues = tuple[Tensor, Tensor]
"""Of one block, `[B, heads, T, E / heads]` each: what attention needs of the tokens before."""


class TransformerShape(BaseModel):
    width: int = Field(256, ge=1, description="numbers that stand for a token, in every layer")
    layers: int = Field(2, ge=1, description="blocks of attention and feed-forward network")
    heads: int = Field(4, ge=1, description="heads of the attention; they share the width")
    feed_forward: int = Field(1024, ge=1, description="hidden units of the feed-forward networks")
    context: int = Field(512, ge=2, description="tokens it looks back on, at most")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads cannot share a width of {self.width} equally")
        return self


class Block(nn.Module):
    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_norm, self.feed_norm = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.query_key_value = nn.Linear(shape.width, 3 * shape.width)
        self.attended = nn.Linear(shape.width, shape.width)
        self.widen = nn.Linear(shape.width, shape.feed_forward)
        self.narrow = nn.Linear(shape.feed_forward, shape.width)
        summed = INITIAL_DEVIATION * (2 * shape.layers) ** -0.5  # two of them are added up in every block
        for linear in (self.query_key_value, self.attended, self.widen, self.narrow):
            nn.init.normal_(linear.weight, std=summed if linear in (self.attended, self.narrow) else INITIAL_DEVIATION)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Takes and returns `[B, T, E]`; nothing depends on what comes later in T."""
        return self.after(x, None)[0]

    def after(self, x: Tensor, past: "KeysAndValues | None") -> "tuple[Tensor, KeysAndValues]":
        """The same after what was seen before, which is a `past` and a single x `[B, 1, E]`; returns both together."""
        split = self.query_key_value(self.attention_norm(x)).unflatten(2, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)  # [B, heads, T, E / heads] each
        if past:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        x = x + self.attended(mixed.transpose(1, 2).flatten(2))
        added: Tensor = self.narrow(functional.gelu(self.widen(self.feed_norm(x))))
        return x + added, (key, value)


class Transformer(nn.Module):
    """`forward` gives the hidden states that the softmax over `embedding` and `output_bias` takes."""

    opening_mask: Tensor

    def __init__(self, shape: TransformerShape, vocabulary_size: int) -> None:
        super().__init__()
        self.context = shape.context
        self.embedding = nn.Parameter(torch.randn(vocabulary_size, shape.width) * INITIAL_DEVIATION)
        self.positions = nn.Parameter(torch.randn(shape.context, shape.width) * INITIAL_DEVIATION)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width)
        self.register_buffer("opening_mask", torch.zeros(vocabulary_size), persistent=False)
        self.opening_mask[list(OPENINGS)] = -torch.inf

    def forward(self, tokens: Tensor) -> Tensor:
        """Takes `tokens [B, T]`, T at most the context; returns hidden states `[B, T, E]`."""
        x = functional.embedding(tokens, self.embedding) + self.positions[: tokens.shape[1]]
        hidden: Tensor = self.norm(self.blocks(x))
        return hidden

    def next_token(
        self, tokens: Tensor, past: Sequence[KeysAndValues] | None = None
    ) -> tuple[Tensor, list[KeysAndValues]]:
        """Log-probabilities `[B, V]` of the token after `tokens [B, T]`, and the keys and values of all so far.

        With a `past`, which those before returned, T is 1.
        """
        start = past[0][0].shape[2] if past else 0
        x = functional.embedding(tokens, self.embedding) + self.positions[start : start + tokens.shape[1]]
        kept = []
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x, own = block.after(x, past[number] if past else None)
            kept.append(own)
        logits = functional.linear(self.norm(x[:, -1]), self.embedding, self.output_bias)
        return functional.log_softmax(logits, dim=1), kept

    @property
    def output_bias(self) -> Tensor:
        """The softmax's bias `[V]`, minus infinity for openings, which are given and never predicted."""
        return self.bias + self.opening_mask


def transformer_scorer(network: Transformer) -> Scorer:
    """Scores reviews of any length, those longer than the context in overlapping windows."""
    device = network.embedding.device

    @torch.inference_mode()
    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        network.eval()
        tokens = tokens.to(device)
        scores = []
        for window in windows(tokens.shape[1] - 1, network.context):
            hidden = network(torch.cat([tokens[:, :1], tokens[:, window.begin : window.end]], dim=1))
            targets = tokens[:, window.first + 1 : window.end + 1]
            predicted = hidden[:, hidden.shape[1] - targets.shape[1] :]
            scores.append(log_probabilities_of(targets, predicted, network.embedding, network.output_bias))
        return torch.cat(scores, dim=1).cpu()

    return score
