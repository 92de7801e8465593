"""POST /score: perplexity and per-token surprise of given texts."""

from fastapi import APIRouter

from app.admission import Work
from app.direct_route import DirectRoute
from app.documented_errors import documented
from app.errors import MODEL_PROBLEMS
from app.schemas import ScoreRequest, ScoreResponse
from app.score_response import score_response
from app.scoring import score
from app.service import Client, exchange_of, require_at_most, service_of

router = APIRouter(tags=["model"], route_class=DirectRoute)


@router.post(
    "/score",
    responses=documented(*MODEL_PROBLEMS),
    response_model_exclude_none=True,
)
async def score_texts(request: ScoreRequest, client: Client) -> ScoreResponse:
    """Scores each text as a whole review. Logarithms are natural; the outer figures are over all texts together."""
    service, exchange = service_of(client), exchange_of(client)
    require_at_most("texts", len(request.texts), service.settings.max_texts, "texts")
    for place, text in enumerate(request.texts):
        require_at_most(f"texts.{place}", len(text), service.settings.max_characters, "characters")
    encoded = await service.encode(request.texts)
    task = score(service.model, encoded, request.stars, request.tokens)
    tokens = sum(len(text.tokens) for text in encoded)
    scored = await service.run(exchange, task, Work(len(encoded), tokens), client)
    response = score_response(scored, request.tokens, service.model.name)
    exchange.tokens_in = response.usage.scored_tokens
    return response
