"""The recurrent neural network language model.

Mikolov, Karafiát, Burget, Černocký & Khudanpur 2010, "Recurrent neural network based language model". With w(t) the
token as a one-hot vector, g the softmax, and f the logistic function there, tanh here, which learns faster,

    s(t) = f(U w(t) + W s(t - 1))        y(t) = g(V s(t))

The recurrence is `cells.ElmanCell`, and U is a product of two, its weights and an embedding: U = W_ih C. Training goes
back through as many steps as a batch has, and the state is carried over to the next (truncated back-propagation through
time). The output may be factored by classes, as in Mikolov et al. 2011 (`output.ClassFactored`).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.baselines.output import Output
from training.cells import ActivationName, ElmanCell
from training.evaluate import Scorer
from training.vocabulary import END


class RecurrentLanguageModel(nn.Module):
    """C `[V, E]` is `embedding`, W_ih and W are the cell's, V is in `output`; its state is s, `[B, H]`."""

    def __init__(
        self,
        vocabulary_size: int,
        embedding: int,
        hidden: int,
        output: Callable[[int], Output],
        activation: ActivationName = "tanh",
    ) -> None:
        """`output` makes an output layer of so many features."""
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(vocabulary_size, embedding) * embedding**-0.5)
        self.cell = ElmanCell(embedding, hidden, activation)
        self.output = output(hidden)

    def initial_state(self, batch: int) -> Tensor:
        """The state before any token, `[B, H]`."""
        return self.embedding.new_zeros(batch, self.cell.state_size)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [T, B]` and `state [B, H]`; returns s at all times, `[T, B, H]`, and the last.

        An opening token makes the network forget what came before.
        """
        keep = (tokens >= END).to(self.embedding.dtype)
        hidden, last = self.cell(nn.functional.embedding(tokens, self.embedding), state, keep)
        return hidden, last

    @torch.inference_mode()
    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Takes `tokens [B]`; returns natural log-probabilities of the next token `[B, V]` and the state after."""
        hidden, state = self(tokens[None], state)
        return self.output.log_probabilities(hidden[0]), state


def recurrent_scorer(model: RecurrentLanguageModel) -> Scorer:
    """Scores with the output layer as it is, not as it was trained."""

    @torch.inference_mode()
    def score(tokens: Tensor, lengths: Tensor) -> Tensor:
        inputs, targets = tokens.t()[:-1], tokens.t()[1:]
        hidden, _ = model(inputs, model.initial_state(len(tokens)))
        return model.output.of_targets(hidden.flatten(0, 1), targets.flatten()).view_as(targets).t()

    return score
