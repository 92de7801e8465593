"""The neural probabilistic language model, over a window or over a convolutional feature layer.

Bengio, Ducharme, Vincent & Jauvin 2003, "A Neural Probabilistic Language Model". With C(w) the embedding of a token and
x = (C(w_{t-n+1}), …, C(w_{t-1})) those of the n - 1 tokens before, one after the other,

    y = b + W x + U tanh(d + H x)        P(w_t | w_{t-n+1} … w_{t-1}) = exp(y_{w_t}) / Σ_v exp(y_v)

W are the direct connections, which may be left out. Any encoder of the context may stand in the place of x:
`Window` is Bengio's, `convolution.Convolution` is another. The output layer weighs (x, tanh(d + H x)) by (W, U).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.baselines.output import Output
from training.evaluate import Scorer
from training.vocabulary import END, UNKNOWN_RATING

START = UNKNOWN_RATING
"""The opening that stands for them all, and for what is before it."""


class Encoder(nn.Module):
    """Turns the embeddings of `context` tokens, `[B, context, m]`, into `size` numbers, `[B, size]`."""

    context: int
    size: int


class Window(Encoder):
    """x = (C(w_{t-n+1}), …, C(w_{t-1}))."""

    def __init__(self, context: int, embedding: int) -> None:
        super().__init__()
        self.context, self.size = context, context * embedding

    def forward(self, embedded: Tensor) -> Tensor:
        return embedded.flatten(1)


class NeuralLanguageModel(nn.Module):
    """C `[V, m]` is `embedding`, H `[h, size]` and d `[h]` are `hidden`, W, U and b are in `output`.

    Its state is the tokens of the context, the oldest first, as floats.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding: int,
        hidden: int,
        encoder: Encoder,
        output: Callable[[int], Output],
        direct: bool,
    ) -> None:
        """`output` makes an output layer of so many features; with `direct` connections x is among them."""
        super().__init__()
        self.encoder, self.direct = encoder, direct
        self.embedding = nn.Parameter(torch.randn(vocabulary_size, embedding) * embedding**-0.5)
        self.hidden = nn.Linear(encoder.size, hidden)
        self.output = output(hidden + encoder.size if direct else hidden)
        self.state_size = encoder.context

    def forward(self, contexts: Tensor) -> Tensor:
        """Takes `contexts [B, n - 1]`; returns (x, tanh(d + Hx)), or the latter alone, `[B, F]`."""
        x = self.encoder(nn.functional.embedding(contexts, self.embedding))
        a = torch.tanh(self.hidden(x))
        return torch.cat([x, a], dim=1) if self.direct else a

    def initial_state(self, batch: int) -> Tensor:
        """The state before any token, `[B, n - 1]`."""
        return torch.full([batch, self.state_size], float(START))

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]`; returns natural log-probabilities of the next token `[B, V]` and the state after."""
        state = torch.cat([state[:, 1:], tokens[:, None].to(state)], dim=1)
        return self.output.log_probabilities(self(since_opening(state.long()))), state


def since_opening(contexts: Tensor) -> Tensor:
    """The contexts `[B, n - 1]` with START in the place of every opening and of all that is before one."""
    opened = (contexts < END).flip(1).cumsum(1).flip(1) > 0
    return contexts.masked_fill(opened, START)


def contexts_before(stream: Tensor, places: Tensor, length: int) -> Tensor:
    """The `length` tokens before each of the `places [B]` in a stream of reviews, `[B, length]`; START before those."""
    positions = places[:, None] + torch.arange(-length, 0)
    return since_opening(stream[positions.clamp_min(0)].masked_fill(positions < 0, START))


def neural_scorer(model: NeuralLanguageModel) -> Scorer:
    """Scores with the output layer as it is, not as it was trained."""

    @torch.inference_mode()
    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        length, targets = model.encoder.context, tokens[:, 1:]
        windows = nn.functional.pad(tokens, (length - 1, 0), value=START)[:, :-1].unfold(1, length, 1)
        features = model(since_opening(windows.flatten(0, 1)))
        return model.output.of_targets(features, targets.flatten()).view_as(targets)

    return score
