"""Networks that write texts behind plain FastAPI: sampled as the service samples them, one request after the other.

They have the vocabulary of the artifact and random weights: a quality run leaves figures, not weights, and a step takes
the same time whatever they are. Texts of random weights hardly ever end before their length.
"""

import codecs
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from torch import Tensor

from app.language_model import Vocabulary, load_language_model
from app.memory import keep_freed_memory
from app.routes.streaming import event_line
from app.sampling import SamplingRow, SamplingSettings, choose, uniforms
from app.schemas import GenerateRequest
from app.settings import Settings

NextToken = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Takes new `tokens [1, T]` and what it returned for those before, or None; returns log-probabilities `[1, V]`."""


def artifact_vocabulary() -> Vocabulary:
    """Of the artifact, which also sets torch to one thread, as for all; and seeds the weights to come."""
    keep_freed_memory()
    torch.manual_seed(1)
    return load_language_model(Settings().model_directory).vocabulary


def writer(vocabulary: Vocabulary, next_token: NextToken) -> FastAPI:
    app = FastAPI()

    @app.post("/generate")
    def generate(request: GenerateRequest) -> dict[str, Any]:
        *pieces, summary = _written(vocabulary, next_token, request)
        return {"reviews": [{"text": "".join(piece["text"] for piece in pieces)}], **summary}

    @app.post("/stream")
    def stream(request: GenerateRequest) -> StreamingResponse:
        return StreamingResponse(_events(vocabulary, next_token, request), media_type="text/event-stream")

    return app


def _events(vocabulary: Vocabulary, next_token: NextToken, request: GenerateRequest) -> Iterator[str]:
    yield from map(event_line, _written(vocabulary, next_token, request))
    yield "data: [DONE]\n\n"


def _written(vocabulary: Vocabulary, next_token: NextToken, request: GenerateRequest) -> Iterator[dict[str, Any]]:
    """Each piece of a text, and then its usage and seed."""
    settings = SamplingSettings(request.temperature, request.top_k, request.top_p, request.min_p)
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    numbers, decoder = uniforms(seed, 0), codecs.getincrementaldecoder("utf-8")("replace")
    new = prompt = [vocabulary.opening(request.stars), *vocabulary.encode(request.prompt)]
    past, count = None, 0
    while count < request.max_tokens and new != [vocabulary.end]:
        with torch.inference_mode():
            log_probabilities, past = next_token(torch.tensor([new]), past)
            new = choose(log_probabilities, [SamplingRow(settings, next(numbers))]).tokens
        count += 1
        yield {"index": 0, "text": decoder.decode(vocabulary.token_bytes[new[0]])}
    yield {"usage": {"prompt_tokens": len(prompt), "generated_tokens": count}, "seed": seed}
