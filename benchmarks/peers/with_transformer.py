"""A GPT-style transformer of as many parameters, which generates with its KV cache behind plain FastAPI.

It is the one of `benchmarks/quality/transformer.py` with the vocabulary of the artifact and random weights: a quality
run leaves figures, not weights, and a step takes the same time whatever they are. One thread of torch, as for all.
Texts are sampled as the service samples them; those of random weights hardly ever end before their length.
"""

import codecs
import json
import secrets
from collections.abc import Iterator
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from app.language_model import load_language_model
from app.memory import keep_freed_memory
from app.sampling import SamplingRow, SamplingSettings, choose, uniforms
from app.schemas import GenerateRequest
from app.settings import Settings
from benchmarks.beside.listening import listen
from benchmarks.quality.transformer import Transformer, TransformerShape

keep_freed_memory()
torch.manual_seed(1)
vocabulary = load_language_model(Settings().model_directory).vocabulary
network = Transformer(TransformerShape(), vocabulary.size).eval()
app = FastAPI()


@app.post("/generate")
def generate(request: GenerateRequest) -> dict[str, Any]:
    *pieces, summary = _written(request)
    return {"reviews": [{"text": "".join(piece["text"] for piece in pieces)}], **summary}


@app.post("/stream")
def stream(request: GenerateRequest) -> StreamingResponse:
    return StreamingResponse(_events(request), media_type="text/event-stream")


def _events(request: GenerateRequest) -> Iterator[str]:
    for event in _written(request):
        yield f"data: {json.dumps(event)}\n\n"
    yield "data: [DONE]\n\n"


def _written(request: GenerateRequest) -> Iterator[dict[str, Any]]:
    """Each piece of a text, and then its usage and seed."""
    settings = SamplingSettings(request.temperature, request.top_k, request.top_p, request.min_p)
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    numbers, decoder = uniforms(seed, 0), codecs.getincrementaldecoder("utf-8")("replace")
    new = prompt = [vocabulary.opening(request.stars), *vocabulary.encode(request.prompt)]
    past, count = None, 0
    while count < request.max_tokens and new != [vocabulary.end]:
        with torch.inference_mode():
            log_probabilities, past = network.next_token(torch.tensor([new]), past)
            new = choose(log_probabilities, [SamplingRow(settings, next(numbers))]).tokens
        count += 1
        yield {"index": 0, "text": decoder.decode(vocabulary.token_bytes[new[0]])}
    yield {"usage": {"prompt_tokens": len(prompt), "generated_tokens": count}, "seed": seed}


if __name__ == "__main__":
    listen(app)
