"""The wire contract as types. Unknown fields are refused; the limits that are settings are checked by the routes."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StringConstraints

WHITE_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""As Unicode defines it; what `\\s` is, each dialect of patterns has its own mind on."""


def _whole(number: object) -> object:
    # JSON has one kind of number, and to JSON Schema 5.0 is an integer.
    return int(number) if isinstance(number, float) and number.is_integer() else number


WHOLE = BeforeValidator(_whole)
Integer = Annotated[int, WHOLE]
Stars = Annotated[int, Field(ge=1, le=5, description="rating the text goes with; null where it is not known"), WHOLE]
Seed = Annotated[int, Field(ge=0, le=2**53 - 1), WHOLE]
TopK = Annotated[int, Field(ge=0, description="sample from this many tokens; 0 from all"), WHOLE]
MinP = Annotated[float, Field(ge=0, le=1, description="leave out tokens below this share of the most probable one")]
RepetitionPenalty = Annotated[float, Field(ge=0.1, le=10, description="above 1 makes repeating a token less probable")]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class NextWordRequest(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "The food was", "k": 5}]})

    text: str = Field(description="everything before the word being typed")
    prefix: Annotated[str, StringConstraints(max_length=100, pattern=f"^[^{WHITE_SPACE}]*$")] = Field(
        "", description="the letters typed so far of that word, without white space"
    )
    k: Integer = Field(5, ge=1, le=50, description="number of suggestions")
    stars: Stars | None = None
    punctuation: bool = Field(False, description="suggest punctuation marks, too")


# No models of pydantic's, as pydantic takes a dataclass as it is: these are most of what an answer has to check.
@dataclass(slots=True)
class Suggestion:
    word: Annotated[str, Field(description="a whole word, as a person would write it there")]
    probability: Annotated[float, Field(description="of this word coming next; given the prefix if there is one")]


@dataclass(slots=True)
class NextWordUsage:
    context_tokens: Annotated[int, Field(description="tokens of the text, its opening mark counted")]
    cached_tokens: Annotated[int, Field(description="of these, tokens that cost nothing as their state was kept")]


class NextWordResponse(BaseModel):
    suggestions: list[Suggestion] = Field(
        description="the most probable first; with a prefix, words that have a ten-thousandth of what fits it or more"
    )
    usage: NextWordUsage
    model: str = Field(description="the model that answered")


class GenerateRequest(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"stars": 5, "max_tokens": 60, "seed": 7}]})

    prompt: str = Field("", description="how the review begins")
    stars: Stars | None = None
    n: Integer = Field(1, ge=1, description="reviews to write")
    max_tokens: Integer = Field(150, ge=1, description="tokens after which a review is cut")
    temperature: float = Field(0.8, ge=0, le=10, description="0 always takes the most probable token")
    top_k: TopK = 0
    top_p: float = Field(
        0.95, gt=0, le=1, description="sample from the fewest tokens that have this probability together"
    )
    min_p: MinP = 0.0
    repetition_penalty: RepetitionPenalty = 1.0
    stop: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=100)]], FailFast()] = Field(
        [], max_length=16, description="strings that end a review; they are not part of it"
    )
    seed: Seed | None = Field(None, description="the same seed gives the same text; null draws one")
    stream: bool = Field(False, description="answer piece by piece, as server-sent events")


class Review(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    text: str = Field(description="continues the prompt and does not repeat it")
    finish_reason: Literal["end", "length", "stop"] = Field(
        description="`end`: the model closed the review; `length`: `max_tokens` cut it; `stop`: a stop string did"
    )
    tokens: int = Field(description="tokens that were generated, the end mark counted")
    log_probability: float = Field(description="natural, of these tokens under the model itself (temperature 1)")


class GenerateUsage(BaseModel):
    prompt_tokens: int = Field(description="tokens of the prompt, its opening mark counted")
    generated_tokens: int = Field(description="tokens generated, of all reviews together")


class GenerateResponse(BaseModel):
    reviews: list[Review]
    seed: int = Field(description="gives these texts again")
    usage: GenerateUsage
    model: str = Field(description="the model that answered")


class ScoreRequest(Request):
    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["I loved it.", "it loved I ."]}]})

    # Without FailFast a body of a million items that are no texts would be a million errors.
    texts: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], FailFast()] = Field(
        min_length=1, description="texts to score"
    )
    stars: Stars | None = None
    tokens: bool = Field(False, description="tell each token's score, too")


class TokenScore(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    text: str = Field(description="the token; empty for the end mark")
    start: int = Field(description="where it begins, in characters of the text")
    end: int = Field(description="where it ends")
    log_probability: float = Field(description="natural, given all tokens before")
    rank: int = Field(description="1 where the model held it the most probable token")


class Score(BaseModel):
    perplexity: float = Field(description="per word: over words, punctuation marks and the end mark")
    token_perplexity: float = Field(description="per token, the end mark counted")
    bits_per_character: float
    log_probability: float = Field(description="natural, of the text and its end mark")
    words: int = Field(description="words and punctuation marks, and the end mark")
    tokens: int = Field(description="tokens, and the end mark")
    characters: int
    token_scores: list[TokenScore] | None = None


class ScoreUsage(BaseModel):
    scored_tokens: int


class ScoreResponse(BaseModel):
    scores: list[Score]
    perplexity: float = Field(description="per word, over all texts together")
    bits_per_character: float = Field(description="over all texts together")
    usage: ScoreUsage
    model: str = Field(description="the model that answered")
