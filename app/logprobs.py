"""Tokens told one by one: what each is, where it stands, how probable it was, and what was more so."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from app.calls import Advance, Advanced, Task
from app.language_model import LanguageModel, Vocabulary
from app.sampling import most_probable
from app.scoring import EncodedText, score


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token `offset` characters into its text.

    `log_probability` is the natural one under the model itself (temperature 1), or None where it is not told; `top`
    has those of the most probable tokens there and of this one, or is None where they were not asked for.
    """

    text: str
    offset: int
    log_probability: float | None
    top: dict[str, float] | None


def written(vocabulary: Vocabulary, token: int, spaced: bool = False) -> str:
    """A token as it is shown: as its text, part of a character as `bytes:\\xe2\\x80`, a special one by its name.

    Where `spaced`, the space before it is there already.
    """
    if token in vocabulary.special:
        return vocabulary.name(token)
    piece = vocabulary.token_bytes[token].removeprefix(b" " if spaced else b"")
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in piece)


def told(
    vocabulary: Vocabulary,
    token: int,
    log_probability: float,
    top: Sequence[tuple[int, float]],
    offset: int,
    spaced: bool = False,
) -> TokenLogprob:
    own = written(vocabulary, token, spaced)
    best: dict[str, float] = {}
    for other, value in top:  # two tokens may be written alike, inside a word and at its end: the first is likelier
        best.setdefault(written(vocabulary, other, spaced), value)
    if best:
        best[own] = log_probability
    return TokenLogprob(own, offset, log_probability, best or None)


def prompt_logprobs(
    model: LanguageModel, texts: Sequence[EncodedText], stars: int | None, top: int
) -> Task[list[list[TokenLogprob]]]:
    """Each token of texts that open a review of this rating, and the `top` most probable tokens in its place."""
    if top:
        values, best = yield from _stepwise(model, [text.tokens for text in texts], stars, top)
    else:
        scored = yield from score(model, texts, stars, False)
        values = [[token.log_probability for token in text.tokens[:-1]] for text in scored]
        best = [[[] for _ in text.tokens] for text in texts]
    return [
        [
            told(model.vocabulary, token, value, others, start)
            for token, (start, _), value, others in zip(text.tokens, text.offsets, own, tops, strict=True)
        ]
        for text, own, tops in zip(texts, values, best, strict=True)
    ]


Best = list[list[list[tuple[int, float]]]]


def _stepwise(
    model: LanguageModel, texts: Sequence[Sequence[int]], stars: int | None, top: int
) -> Task[tuple[list[list[float]], Best]]:
    """Runs the texts a token at a time, as the probabilities of all tokens at every place would fill the memory."""
    fed = [[model.vocabulary.opening(stars), *tokens] for tokens in texts]
    values: list[list[float]] = [[] for _ in texts]
    best: Best = [[] for _ in texts]
    going, states = list(range(len(texts))), model.initial_states(len(texts))
    for place in range(max(map(len, texts))):
        left = [row for row, text in enumerate(going) if len(texts[text]) > place]
        going = [going[row] for row in left]
        before = [states[row] for row in left]
        advanced: Advanced = yield Advance([fed[text][place : place + 1] for text in going], before)
        states = advanced.states
        tops = most_probable(torch.stack(list(advanced.log_probabilities)), top)
        for row, text in enumerate(going):
            values[text].append(float(advanced.log_probabilities[row][texts[text][place]]))
            best[text].append(tops[row])
    return values, best
