"""POST /score: perplexity and per-token surprise of given texts."""

from fastapi import APIRouter

from app.admission import Work
from app.direct_route import DirectRoute
from app.documented_errors import documented
from app.errors import MODEL_PROBLEMS
from app.schemas import Score, ScoreRequest, ScoreResponse, ScoreUsage, TokenScore
from app.scoring import ScoredText, bits_per_character, perplexity, score
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
    exchange.tokens_in = sum(len(text.tokens) for text in scored)
    total = sum(text.log_probability for text in scored)
    return ScoreResponse(
        scores=[_score(text, request.tokens) for text in scored],
        perplexity=perplexity(total, sum(text.words for text in scored)),
        bits_per_character=bits_per_character(total, sum(text.characters for text in scored)),
        usage=ScoreUsage(scored_tokens=exchange.tokens_in),
        model=service.model.name,
    )


def _score(text: ScoredText, with_tokens: bool) -> Score:
    return Score(
        perplexity=text.perplexity,
        token_perplexity=text.token_perplexity,
        bits_per_character=text.bits_per_character,
        log_probability=text.log_probability,
        words=text.words,
        tokens=len(text.tokens),
        characters=text.characters,
        token_scores=[TokenScore.model_validate(token) for token in text.tokens] if with_tokens else None,
    )
