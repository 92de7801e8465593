"""What a row is answered with: the request it would be over HTTP, its task, and the columns of the result."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import pyarrow
from pydantic import ValidationError

from app.bulk.job import Job
from app.bulk.sources import Row
from app.calls import Task
from app.generation import Generation, GenerationSettings, generate
from app.language_model import LanguageModel
from app.sampling import SamplingSettings
from app.schemas import GenerateRequest, ScoreRequest
from app.scoring import ScoredText, encode, score

SEEDS = 2**53
"""Seeds of a /generate request lie below."""
TOKEN = pyarrow.struct(
    [
        ("text", pyarrow.string()),
        ("start", pyarrow.int32()),
        ("end", pyarrow.int32()),
        ("log_probability", pyarrow.float64()),
        ("rank", pyarrow.int32()),
    ]
)
SCORES = {
    "perplexity": pyarrow.float64(),
    "token_perplexity": pyarrow.float64(),
    "bits_per_character": pyarrow.float64(),
    "log_probability": pyarrow.float64(),
    "words": pyarrow.int32(),
    "tokens": pyarrow.int32(),
    "characters": pyarrow.int32(),
}
REVIEW = {
    "text": pyarrow.string(),
    "finish_reason": pyarrow.string(),
    "tokens": pyarrow.int32(),
    "log_probability": pyarrow.float64(),
    "seed": pyarrow.int64(),
}


class Unanswerable(Exception):
    """A row that no answer can be given for; the message says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A row's task, and what makes its result a row of the output."""

    task: Task[Any]
    told: Callable[[Any], dict[str, Any]]


def columns_of(job: Job) -> dict[str, pyarrow.DataType]:
    """The columns of the answers, named as in the API."""
    if job.command == "generate":
        return REVIEW
    return SCORES | ({"token_scores": pyarrow.list_(TOKEN)} if job.tokens else {})


def ask(model: LanguageModel, job: Job, row: Row, number: int) -> Asked:
    """What the row `number` of all asks of the model; raises Unanswerable."""
    if row.damage:
        raise Unanswerable(row.damage)
    try:
        return _to_generate(model, job, row, number) if job.command == "generate" else _to_score(model, job, row)
    except ValidationError as error:
        raise Unanswerable("; ".join(_told_problem(job, each) for each in error.errors())) from None


def _to_score(model: LanguageModel, job: Job, row: Row) -> Asked:
    request = ScoreRequest(texts=[row.text], stars=row.stars)

    def told(result: list[ScoredText]) -> dict[str, Any]:
        (scored,) = result
        figures = {name: getattr(scored, name) for name in SCORES} | {"tokens": len(scored.tokens)}
        return figures | ({"token_scores": [asdict(token) for token in scored.tokens]} if job.tokens else {})

    return Asked(score(model, encode(model, request.texts), request.stars, job.tokens), told)


def _to_generate(model: LanguageModel, job: Job, row: Row, number: int) -> Asked:
    seed = (job.seed + number) % SEEDS
    request = GenerateRequest(prompt=row.text, stars=row.stars, seed=seed, **job.options)
    sampling = SamplingSettings(**{each.name: getattr(request, each.name) for each in fields(SamplingSettings)})
    settings = GenerationSettings(1, request.max_tokens, sampling, request.stop, seed)

    def told(result: Generation) -> dict[str, Any]:
        (review,) = result.reviews
        return {name: getattr(review, name) for name in REVIEW if name != "seed"} | {"seed": seed}

    return Asked(generate(model, request.prompt, request.stars, settings), told)


def _told_problem(job: Job, problem: Any) -> str:
    column = job.stars_column if problem["loc"][0] == "stars" else job.text_column
    return f"{column}: {problem['msg']}"
