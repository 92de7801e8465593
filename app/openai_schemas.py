"""OpenAI's completions and models as types, with what this service has besides; https://platform.openai.com/docs/api-reference/completions."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.openai_errors import UNSUPPORTED
from app.schemas import WHOLE, Integer, MinP, RepetitionPenalty, Request, Stars, TopK


def _text_or_texts(text: dict[str, Any], texts: dict[str, Any]) -> WithJsonSchema:
    text = {"type": "string", **text}
    return WithJsonSchema({"anyOf": [text, {"type": "array", "items": text, **texts}]})


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _texts(value: object) -> object:
    if isinstance(value, list) and any(isinstance(each, int | list) for each in value):
        raise PydanticCustomError(UNSUPPORTED, "Token ids are not supported; send text")
    return _listed(value)


@dataclass(frozen=True)
class NothingBut:
    """Refuses every value but the one with which a parameter does nothing."""

    harmless: object

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, *_: object) -> dict[str, Any]:
        return {"enum": [self.harmless, None]}

    def _check(self, value: object) -> object:
        if value != self.harmless:
            raise PydanticCustomError(UNSUPPORTED, "It is not supported; leave it out")
        return value


def _tell_of_nulls(schema: dict[str, Any]) -> None:
    for name, described in schema["properties"].items():
        if name in schema.get("required", ()):
            continue
        if "type" in described:
            described["type"] = [described["type"], "null"]
        elif "anyOf" in described and {"type": "null"} not in described["anyOf"]:
            described["anyOf"].append({"type": "null"})


class OpenAIRequest(Request):
    """Parameters that are null have their defaults, as in OpenAI's API."""

    model_config = ConfigDict(json_schema_extra=_tell_of_nulls)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None or name not in cls.model_fields}


class StreamOptions(OpenAIRequest):
    include_usage: bool = Field(False, description="tell the usage at the end of the stream")
    include_obfuscation: Annotated[bool, NothingBut(False)] = Field(False, description="not supported but for false")


class CompletionRequest(OpenAIRequest):
    model: str = Field(description="the model that is served, as `GET /v1/models` names it")
    prompt: Annotated[list[str], FailFast(), BeforeValidator(_texts), _text_or_texts({}, {"minItems": 1})] = Field(
        [""], min_length=1, description="how the text begins, or a list of such beginnings; no token ids"
    )
    max_tokens: Integer = Field(16, ge=0, description="tokens after which a text is cut; 0 only with `echo`")
    temperature: float = Field(1.0, ge=0, le=2, description="0 always takes the most probable token")
    top_p: float = Field(1.0, ge=0, le=1, description="sample from the fewest tokens that have this probability")
    n: Integer = Field(1, ge=1, description="texts to write for each prompt")
    stop: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=100)]],
        FailFast(),
        BeforeValidator(_listed),
        _text_or_texts({"minLength": 1, "maxLength": 100}, {"maxItems": 4}),
    ] = Field([], max_length=4, description="strings, up to 4, that end a text; they are not part of it")
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE] | None = Field(
        None, description="the same seed gives the same text; null draws one"
    )
    logprobs: Annotated[int, Field(ge=0, le=5), WHOLE] | None = Field(
        None, description="tell each token's log-probability, and of so many of the most probable ones there"
    )
    echo: bool = Field(False, description="tell the prompt, too, before what follows it")
    stream: bool = Field(False, description="answer piece by piece, as server-sent events")
    stream_options: StreamOptions | None = Field(None, description="only with `stream`")
    user: str | None = Field(None, description="logged with the request; changes nothing")
    stars: Stars | None = None
    top_k: TopK = 0
    min_p: MinP = 0.0
    repetition_penalty: RepetitionPenalty = 1.0
    best_of: Integer | None = Field(None, description="not supported, but for the value of `n`, which means nothing")
    suffix: Annotated[str, NothingBut("")] = Field("", description="not supported, but for an empty one")
    logit_bias: Annotated[dict[str, float], NothingBut({})] = Field({}, description="not supported, but for {}")
    presence_penalty: Annotated[float, NothingBut(0)] = Field(0.0, description="not supported, but for 0")
    frequency_penalty: Annotated[float, NothingBut(0)] = Field(0.0, description="not supported, but for 0")


def examples(model: str) -> list[dict[str, Any]]:
    """Requests that a service of this model answers."""
    return [
        {"model": model, "prompt": "The pizza", "max_tokens": 30, "seed": 7, "stars": 5},
        {"model": model, "prompt": "I loved it.", "max_tokens": 0, "echo": True, "logprobs": 2},
    ]


class Logprobs(BaseModel):
    """A place in each list for each token, those of a stop string and the end mark `<end>` among them.

    A token that is only part of a character is written as its bytes, `bytes:\\xe2\\x80`.
    """

    tokens: list[str] = Field(description="the tokens; a space that ends the prompt is in none")
    token_logprobs: list[float | None] = Field(
        description="natural, under the model itself (temperature 1), as in `/score`; null for the prompt's first token"
    )
    top_logprobs: list[dict[str, float] | None] | None = Field(
        description="of the most probable tokens and this one; null where `logprobs` is 0"
    )
    text_offset: list[int] = Field(description="where each token begins, in characters from the prompt's beginning")


class CompletionChoice(BaseModel):
    text: str = Field(description="what follows the prompt; with `echo`, after the prompt itself")
    index: int = Field(description="the first `n` belong to the first prompt, and so on")
    logprobs: Logprobs | None = Field(description="null unless asked for")
    finish_reason: Literal["stop", "length"] | None = Field(
        description="`stop`: the model closed the review, or a stop string did; `length`: `max_tokens` cut it; "
        "null in a piece that others follow"
    )


class CompletionUsage(BaseModel):
    prompt_tokens: int = Field(description="tokens of the prompts, the opening mark of each counted")
    completion_tokens: int = Field(description="tokens generated, end marks counted")
    total_tokens: int


class CompletionResponse(BaseModel):
    """An answer, or in a stream a piece of it."""

    id: str = Field(description="`cmpl-` and the request's id, under which it is logged")
    object: Literal["text_completion"] = "text_completion"
    created: int = Field(description="seconds since 1970")
    model: str = Field(description="the model that answered")
    choices: list[CompletionChoice]
    usage: CompletionUsage | None = Field(
        None, description="null in a piece of a stream, but for the last if asked for"
    )


class ServedModel(BaseModel):
    id: str = Field(description="what `model` of a request has to be")
    object: Literal["model"] = "model"
    created: int = Field(description="seconds since 1970; 0 where the artifact does not tell")
    owned_by: Literal["review-lm"] = "review-lm"


class ServedModels(BaseModel):
    object: Literal["list"] = "list"
    data: list[ServedModel] = Field(description="the one model that is served")
