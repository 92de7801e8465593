"""POST /v1/completions: the same model for OpenAI's clients."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter
from fastapi.responses import Response

from app.admission import Work
from app.completion import Completion, complete
from app.direct_route import DirectRoute
from app.documented_errors import documented_for_openai
from app.errors import MODEL_PROBLEMS, ModelNotFound
from app.exchange import Exchange
from app.generation import FinishReason, GenerationSettings
from app.logprobs import TokenLogprob
from app.openai_errors import UNSUPPORTED
from app.openai_schemas import (
    CompletionChoice,
    CompletionRequest,
    CompletionResponse,
    CompletionUsage,
    Logprobs,
)
from app.routes.models import require_served
from app.routes.streaming import Event, Piece, Pieces, event_stream
from app.sampling import SamplingSettings
from app.service import Client, Service, exchange_of, invalid, require_at_most, service_of, tokens_of

router = APIRouter(tags=["OpenAI"], route_class=DirectRoute)


@router.post(
    "/v1/completions",
    response_model=CompletionResponse,
    responses={
        200: {"content": {"text/event-stream": {"example": 'data: {"id": "cmpl-…", "choices": […]}\n\n'}}},
        **documented_for_openai(ModelNotFound, *MODEL_PROBLEMS),
    },
)
async def complete_prompts(request: CompletionRequest, client: Client) -> CompletionResponse | Response:
    """Writes `n` continuations of each prompt, as OpenAI's API does, with `stars` and more settings of `/generate`.

    With `echo` and `max_tokens` 0 nothing is written, but `logprobs` scores the prompt. The same seed gives the same
    text, alone and under load, and that of `/generate` with the same settings: a text depends on the seed and on its
    `index`. A parameter that is null has its default; one that is not supported is refused.
    """
    service, exchange = service_of(client), exchange_of(client)
    _check(request, service)
    settings = _settings(request)
    prompts = request.prompt
    echoed = await service.encode(_echoed(request)) if request.echo else []
    wording = _Wording(request, service.model.name, exchange)
    rows = len(prompts) * settings.n
    tokens = sum(tokens_of(len(prompt)) for prompt in prompts) + rows * settings.max_tokens
    work = Work(rows, tokens, rows if settings.max_tokens else 0)
    if request.stream:
        pieces = Pieces()
        task = complete(service.model, prompts, echoed, request.stars, settings, pieces.emit)
        # Admitted here, so that what would be an error is one before the first byte.
        return event_stream(pieces, service.engine.submit(task, work, exchange.arrived), exchange, wording)
    task = complete(service.model, prompts, echoed, request.stars, settings)
    return wording.whole(await service.run(exchange, task, work, client))


@dataclass(frozen=True)
class _Wording:
    """An answer in OpenAI's words, whole or in pieces."""

    request: CompletionRequest
    model: str
    exchange: Exchange
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, written: Completion) -> CompletionResponse:
        choices = []
        for index, review in enumerate(written.generation.reviews):
            place = index // self.request.n
            text = self.request.prompt[place] + review.text if self.request.echo else review.text
            tokens = [*written.prompts[place], *review.told]
            choices.append(self._choice(index, text, review.finish_reason, tokens))
        return self._response(choices, self._usage(written))

    def piece(self, piece: Piece) -> list[Event]:
        choice = self._choice(piece.index, piece.text, piece.finish_reason, piece.tokens)
        return [self._event([choice], None)]

    def summary(self, written: Completion) -> list[Event]:
        usage = self._usage(written)
        return [self._event([], usage)] if self._tells_usage() else []

    def _event(self, choices: list[CompletionChoice], usage: CompletionUsage | None) -> Event:
        return self._response(choices, usage).model_dump(exclude=set() if self._tells_usage() else {"usage"})

    def _response(self, choices: list[CompletionChoice], usage: CompletionUsage | None) -> CompletionResponse:
        return CompletionResponse(
            id=f"cmpl-{self.exchange.request_id}", created=self.created, model=self.model, choices=choices, usage=usage
        )

    def _choice(
        self, index: int, text: str, reason: FinishReason | None, tokens: Sequence[TokenLogprob]
    ) -> CompletionChoice:
        asked = self.request.logprobs
        return CompletionChoice(
            text=text,
            index=index,
            logprobs=None if asked is None else _logprobs(tokens, with_top=asked > 0),
            finish_reason="stop" if reason == "end" else reason,
        )

    def _usage(self, written: Completion) -> CompletionUsage:
        prompt, generated = written.generation.prompt_tokens, written.generation.generated_tokens
        self.exchange.tokens_in, self.exchange.tokens_out = prompt, generated
        return CompletionUsage(prompt_tokens=prompt, completion_tokens=generated, total_tokens=prompt + generated)

    def _tells_usage(self) -> bool:
        return self.request.stream_options is not None and self.request.stream_options.include_usage


def _logprobs(tokens: Sequence[TokenLogprob], with_top: bool) -> Logprobs:
    return Logprobs(
        tokens=[token.text for token in tokens],
        token_logprobs=[token.log_probability for token in tokens],
        top_logprobs=[token.top for token in tokens] if with_top else None,
        text_offset=[token.offset for token in tokens],
    )


def _check(request: CompletionRequest, service: Service) -> None:
    require_served(service, request.model)
    limits = service.settings
    for place, prompt in enumerate(request.prompt):
        require_at_most(f"prompt.{place}", len(prompt), limits.max_characters, "characters")
    require_at_most("n", request.n, limits.max_n, "texts")
    choices = len(request.prompt) * request.n
    require_at_most("prompt", choices, max(limits.max_texts, limits.max_n), "choices, `n` for each prompt")
    require_at_most("max_tokens", request.max_tokens, limits.max_tokens, "tokens")
    if request.best_of not in (None, request.n):
        raise invalid("best_of", "It is not supported; leave it out", UNSUPPORTED)
    if not request.max_tokens and not request.echo:
        raise invalid("max_tokens", "It may be 0 only with `echo`")
    if request.stream_options and not request.stream:
        raise invalid("stream_options", "It is only for `stream`")


def _echoed(request: CompletionRequest) -> list[str]:
    """The prompts whose tokens are told: a space at the end of one belongs to what is written next, if anything is."""
    return [prompt.removesuffix(" ") for prompt in request.prompt] if request.max_tokens else request.prompt


def _settings(request: CompletionRequest) -> GenerationSettings:
    return GenerationSettings(
        n=request.n,
        max_tokens=request.max_tokens,
        sampling=SamplingSettings(
            temperature=request.temperature,
            top_k=request.top_k,
            top_p=request.top_p,
            min_p=request.min_p,
            repetition_penalty=request.repetition_penalty,
        ),
        stop=request.stop,
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        logprobs=request.logprobs,
    )
