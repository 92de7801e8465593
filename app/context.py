"""The state after a text: out of the cache as far as that goes, then by running the tokens that are new."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from app.calls import Advance, Advanced, Task
from app.known import Known
from app.language_model import LanguageModel
from app.ranking import TokenSet
from app.sampling import SamplingRow
from app.state_cache import STRIDE, seams


class Context(NamedTuple):
    """What follows an opening and a text, `tokens` tokens in all, `cached_tokens` of which were not run."""

    tokens: int
    cached_tokens: int
    last: Advanced


def read(
    model: LanguageModel,
    opening: int,
    text: str,
    among: Sequence[TokenSet] = (),
    draws: Sequence[SamplingRow] = (),
) -> Task[Context]:
    """Runs a text after its opening, keeping states on the way; `among` and `draws` are as of `Advance`."""
    kept = model.states.longest(opening, text)
    cached = count = kept.tokens if kept else 0
    start, seam = (kept.characters, kept.seams) if kept else (0, 0)
    states: Sequence[Tensor] = [kept.state] if kept else model.initial_states(1)
    first = [] if kept else [opening]
    for place in seams(text, start):
        seam += 1
        if seam % STRIDE == 0 and place > start:
            tokens = [*first, *model.vocabulary.encode(text[start:place])]
            advanced: Advanced = yield Advance([tokens], states, probabilities=False)
            start, first, count, states = place, [], count + len(tokens), advanced.states
            model.states.keep(opening, text[:place], seam - 1, count, states[0])
    # Even where all is cached one call is made, of no tokens: the probabilities follow from the state.
    tokens = [*first, *model.vocabulary.encode(text[start:])]
    known = kept.known if kept and not text and not among else None
    advanced = yield Advance([tokens], states, among, draws, known=known)
    count += len(tokens)
    known = None if text or kept else Known(advanced.log_probabilities[0].clone())
    model.states.keep(opening, text, seam, count, advanced.states[0], known)
    return Context(count, cached, advanced)
