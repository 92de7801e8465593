"""Writing reviews as the service does by default, many at a time: what memorisation and diversity are measured on."""

import torch
from torch import Tensor
from tqdm import tqdm

from training.language_model import LanguageModel
from training.vocabulary import END, UNKNOWN_RATING

TEMPERATURE, TOP_P, MAX_TOKENS = 0.8, 0.95, 150
"""The defaults of `POST /generate`; a test holds them together."""
LANES = 64
"""Reviews that are written side by side."""


@torch.inference_mode()
def write_reviews(model: LanguageModel, count: int, seed: int, label: str = "") -> list[list[int]]:
    """Writes `count` reviews without a rating, each ended by the model or after MAX_TOKENS tokens; the same seed gives
    the same reviews. Neither openings nor end marks are in the answer."""
    generator = torch.Generator().manual_seed(seed)
    reviews: list[list[int]] = [[] for _ in range(count)]
    with tqdm(total=count, unit="review", desc=label, disable=None if label else True) as bar:
        for start in range(0, count, LANES):
            rows = reviews[start : start + LANES]
            _write(model, rows, generator)
            bar.update(len(rows))
    return reviews


def _write(model: LanguageModel, rows: list[list[int]], generator: torch.Generator) -> None:
    tokens, state = torch.full((len(rows),), UNKNOWN_RATING), model.initial_state(len(rows))
    for _ in range(MAX_TOKENS):
        log_probabilities, state = model.step(tokens, state)
        tokens = sample(log_probabilities, generator)
        going_on = (tokens != END).nonzero()[:, 0]
        tokens, state, rows = tokens[going_on], state[going_on], [rows[row] for row in going_on.tolist()]
        if not rows:
            return
        for row, token in zip(rows, tokens.tolist(), strict=True):
            row.append(token)


def sample(log_probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Chooses a token for each row `[B, V]` by temperature and top-p; returns `[B]`.

    Top-p keeps the fewest most probable tokens that have TOP_P together (Holtzman et al. 2020). A token is drawn from
    all, and again while it is none of these (rejection sampling), so that nothing needs to be sorted.
    """
    probabilities = torch.softmax(log_probabilities / TEMPERATURE, dim=1)
    cumulative = probabilities.double().cumsum(dim=1)  # in double precision a number below 1 stays below the sum
    tokens = torch.empty(len(probabilities), dtype=torch.int64)
    left = torch.arange(len(probabilities))
    while len(left):
        uniform = torch.rand((len(left), 1), dtype=torch.float64, generator=generator)
        drawn = torch.searchsorted(cumulative[left], uniform * cumulative[left, -1:], right=True)
        mine = probabilities[left]
        before = (mine * (mine > mine.gather(1, drawn))).sum(dim=1)
        kept = before < TOP_P
        tokens[left[kept]] = drawn[kept, 0]
        left = left[~kept]
    return tokens
