"""The plain way to serve the network: every request runs its whole context through `nn.LSTM` in a thread of the pool.

The weights are those of the shipped artifact, back in float32. Where the network has n-gram tables they are left out,
and what is suggested are tokens, not words: both spare this server work.
"""

from typing import cast

import torch
from fastapi import FastAPI
from torch import Tensor, nn

from app.language_model import load_language_model
from app.schemas import NextWordRequest, NextWordResponse, NextWordUsage, Suggestion
from app.settings import read_settings
from benchmarks.beside.listening import listen

LEVELS = 64
"""What the artifact multiplies a hidden state by."""


class PlainLanguageModel(nn.Module):
    """Embedding, LSTM, projection, and softmax weights."""

    def __init__(self, served: dict[str, Tensor]) -> None:
        super().__init__()
        embedding = served["inputs"].float()
        gates, bias = _weights(served, "cells.0.linear")
        projection, projection_bias = _weights(served, "projection")
        self.output, self.bias = _weights(served, "output")
        size = gates.shape[0] // 4
        # The artifact has 2 x for the candidate's x, as tanh(x) = 2 σ(2x) - 1.
        gates[2 * size : 3 * size] /= 2
        bias[2 * size : 3 * size] /= 2
        self.embedding = nn.Embedding.from_pretrained(embedding)
        self.lstm = nn.LSTM(embedding.shape[1], size, batch_first=True)
        self.lstm.load_state_dict(
            {
                "weight_ih_l0": gates[:, : embedding.shape[1]],
                "weight_hh_l0": gates[:, -size:] * LEVELS,
                "bias_ih_l0": bias,
                "bias_hh_l0": torch.zeros_like(bias),
            }
        )
        self.projection = nn.Linear(size, embedding.shape[1])
        self.projection.load_state_dict({"weight": projection[:, :size] * LEVELS, "bias": projection_bias})

    def forward(self, tokens: Tensor) -> Tensor:
        """Takes `tokens [B, T]`; returns log-probabilities `[B, V]` of the next token after the last."""
        hidden, _ = self.lstm(self.embedding(tokens))
        logits = self.projection(hidden[:, -1]) @ self.output.t() + self.bias
        return torch.log_softmax(logits, dim=-1)


def _weights(served: dict[str, Tensor], part: str) -> tuple[Tensor, Tensor]:
    return served[f"{part}.weight"].float() * served[f"{part}.scale"].t(), served[f"{part}.bias"].clone()


def main() -> None:
    model = load_language_model(read_settings().model_directory)  # one thread of torch for each request, as the service
    network = PlainLanguageModel(cast(dict[str, Tensor], model.module.state_dict()))
    vocabulary = model.vocabulary
    app = FastAPI()

    @app.post("/next-word")
    def next_word(request: NextWordRequest) -> NextWordResponse:
        tokens = [vocabulary.opening(request.stars), *vocabulary.encode(request.text.removesuffix(" "))]
        with torch.inference_mode():
            values, best = network(torch.tensor([tokens]))[0].exp().topk(request.k)
        words = [vocabulary.token_bytes[token].decode("utf-8", "replace") for token in best.tolist()]
        return NextWordResponse(
            suggestions=[
                Suggestion(word=word, probability=value) for word, value in zip(words, values.tolist(), strict=True)
            ],
            usage=NextWordUsage(context_tokens=len(tokens), cached_tokens=0),
            model=model.name,
        )

    listen(app)


if __name__ == "__main__":
    main()
