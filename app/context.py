"""The state after a text: out of the cache as far as that goes, then by running the tokens that are new."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from app.calls import Advance, Advanced, Task
from app.language_model import LanguageModel
from app.state_cache import STRIDE


@dataclass(frozen=True, slots=True)
class Context:
    """`log_probabilities [V]` of the next token and `state [S]` after a text; `cached_tokens` of it were not run."""

    log_probabilities: Tensor
    state: Tensor
    cached_tokens: int


def read(model: LanguageModel, tokens: Sequence[int]) -> Task[Context]:
    """Runs `tokens`, the first of which is an opening, and keeps states on the way."""
    cached, state = model.states.longest(tokens)
    rows = model.initial_state(1) if state is None else state[None]
    # Even where all is cached one call is made, of no tokens: the probabilities follow from the state.
    ends = [*range((cached // STRIDE + 1) * STRIDE, len(tokens), STRIDE), len(tokens)]
    start = cached
    for end in ends:
        advanced: Advanced = yield Advance([tokens[start:end]], rows)
        rows, start = advanced.state, end
        model.states.keep(tokens[:end], rows[0])
    return Context(advanced.log_probabilities[0], rows[0], cached)
