"""What `POST /score` answers, of texts that were scored."""

from collections.abc import Sequence

from app.schemas import Score, ScoreResponse, ScoreUsage, TokenScore
from app.scoring import ScoredText, bits_per_character, perplexity


def score_response(scored: Sequence[ScoredText], with_tokens: bool, model: str) -> ScoreResponse:
    """The outer figures are over all texts together."""
    total = sum(text.log_probability for text in scored)
    return ScoreResponse(
        scores=[_score(text, with_tokens) for text in scored],
        perplexity=perplexity(total, sum(text.words for text in scored)),
        bits_per_character=bits_per_character(total, sum(text.characters for text in scored)),
        usage=ScoreUsage(scored_tokens=sum(len(text.tokens) for text in scored)),
        model=model,
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
