"""Completing prompts as OpenAI's clients ask for it: what follows each, and if wanted the prompts' own tokens first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.calls import Task
from app.generation import Emit, GeneratedReview, Generation, GenerationSettings, generate_each, nobody
from app.language_model import LanguageModel
from app.logprobs import TokenLogprob, prompt_logprobs
from app.scoring import EncodedText


@dataclass(frozen=True, slots=True)
class Completion:
    """What was generated, a review a choice, and the tokens of each prompt where they were asked for."""

    generation: Generation
    prompts: list[list[TokenLogprob]]


def complete(
    model: LanguageModel,
    prompts: Sequence[str],
    echoed: Sequence[EncodedText],
    stars: int | None,
    settings: GenerationSettings,
    emit: Emit = nobody,
) -> Task[Completion]:
    """Writes `settings.n` continuations of each prompt; none of any length where `settings.max_tokens` is 0.

    `echoed` are the prompts again, or nothing where they are not to be told before what follows them.
    """
    tokens: list[list[TokenLogprob]] = [[] for _ in prompts]
    if echoed and settings.logprobs is not None:
        scored = yield from prompt_logprobs(model, echoed, stars, settings.logprobs)
        tokens = [_without_the_first(prompt) for prompt in scored]
    if echoed:
        for place, prompt in enumerate(prompts):
            for index in range(settings.n):
                emit(place * settings.n + index, prompt, None, tokens[place])
    if settings.max_tokens:
        generation = yield from generate_each(model, prompts, stars, settings, emit)
    else:
        generation = _nothing(echoed, settings, emit)
    return Completion(generation, tokens)


def _without_the_first(tokens: list[TokenLogprob]) -> list[TokenLogprob]:
    """OpenAI's models have nothing before a prompt, so that its first token has no probability."""
    return [replace(token, log_probability=None, top=None) for token in tokens[:1]] + tokens[1:]


def _nothing(prompts: Sequence[EncodedText], settings: GenerationSettings, emit: Emit) -> Generation:
    choices = len(prompts) * settings.n
    for index in range(choices):
        emit(index, "", "length", [])
    empty = GeneratedReview("", "length", 0, 0.0)
    return Generation([empty] * choices, sum(1 + len(prompt.tokens) for prompt in prompts))
