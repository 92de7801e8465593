"""POST /next-word: what could come next, while somebody types."""

import itertools

from fastapi import APIRouter

from app.admission import Work
from app.direct_route import DirectRoute
from app.documented_errors import documented
from app.errors import MODEL_PROBLEMS
from app.next_word import next_words
from app.schemas import NextWordRequest, NextWordResponse, NextWordUsage, Suggestion
from app.service import LONG, Client, exchange_of, require_at_most, service_of, tokens_of

router = APIRouter(tags=["model"], route_class=DirectRoute)


@router.post("/next-word", responses=documented(*MODEL_PROBLEMS))
async def next_word(request: NextWordRequest, client: Client) -> NextWordResponse:
    """Suggests the `k` most probable next words after `text`, those that begin with `prefix` if there is one."""
    service, exchange = service_of(client), exchange_of(client)
    require_at_most("text", len(request.text), service.settings.max_characters, "characters")
    task = next_words(
        service.model,
        service.spelling,
        request.text,
        request.prefix,
        request.k,
        request.stars,
        request.punctuation,
    )
    tokens, in_loop = tokens_of(len(request.text)), len(request.text) < LONG
    found = await service.run(exchange, task, Work(tokens=tokens), in_loop=in_loop)
    exchange.tokens_in, exchange.tokens_out = found.context_tokens, 0
    usage = NextWordUsage(found.context_tokens, found.cached_tokens)
    suggestions = list(itertools.starmap(Suggestion, found.words))
    return NextWordResponse(suggestions=suggestions, usage=usage, model=service.model.name)
