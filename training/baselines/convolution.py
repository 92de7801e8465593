"""A convolutional feature layer with pooling over time, as the encoder of a context.

Collobert, Weston, Bottou, Karlen, Kavukcuoglu & Kuksa 2011, "Natural Language Processing (Almost) from Scratch",
section 3.3.2. With x_i the embedding of a context's i-th token joined to that of its place i, and kernels of k tokens,

    z_i = A (x_i, …, x_{i+k-1}) + a        f = max_i z_i, number by number

Pooling turns a context of any length into as many numbers as there are filters, the strongest answer of each wherever
it came from. The places (their relative positions) are what lets a filter tell the last word from the others.
"""

import torch
from torch import Tensor, nn

from training.baselines.neural import Encoder


class Convolution(Encoder):
    """`filters` numbers from `context` tokens, by kernels of `kernel` tokens; `place` numbers stand for a place."""

    def __init__(self, context: int, embedding: int, kernel: int, filters: int, place: int) -> None:
        super().__init__()
        self.context, self.size, self.kernel = context, filters, kernel
        self.places = nn.Parameter(torch.randn(context, place) * place**-0.5)
        self.filters = nn.Linear(kernel * (embedding + place), filters)

    def forward(self, embedded: Tensor) -> Tensor:
        places = self.places.expand(len(embedded), -1, -1)
        x = torch.cat([embedded, places], dim=2).unfold(1, self.kernel, 1)  # [B, context - k + 1, m + place, k]
        pooled: Tensor = self.filters(x.transpose(2, 3).flatten(2)).amax(dim=1)
        return pooled
