"""Language models that can be worked out by hand."""

from collections.abc import Mapping

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.vocabulary import END

END_MARK = "<end>"


class Chain:
    """A model in which the next token depends on the last one alone; its state is that token."""

    def __init__(self, tokenizer: Tokenizer, following: Mapping[str, float], opening: Mapping[str, float]) -> None:
        """`following` gives the next token's probabilities, by text, after any token but an opening."""
        self.table = torch.full((tokenizer.get_vocab_size(), tokenizer.get_vocab_size()), -torch.inf)
        for rows, probabilities in ((slice(END, None), following), (slice(0, END), opening)):
            for text, probability in probabilities.items():
                self.table[rows, token_of(tokenizer, text)] = torch.tensor(probability).log()

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, 1)

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.table[tokens], tokens[:, None].float()


def token_of(tokenizer: Tokenizer, text: str) -> int:
    if text == END_MARK:
        return END
    (token,) = tokenizer.encode(text).ids
    return int(token)
