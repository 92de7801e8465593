"""The OpenAPI page, with the limits of this service where the schemas leave them to its settings."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.openai_schemas import examples
from app.settings import Settings


def describe_limits(app: FastAPI, settings: Settings, served: Callable[[], str]) -> None:
    """Has the page say what is refused, so that nobody is sent away for what it allows; `served` names the model."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if (model := served()) != app.version:  # FastAPI keeps the page
            app.version, app.openapi_schema = model, None
        page = generated()
        schemas = page["components"]["schemas"]
        next_word, generate, score, completion = (
            schemas[f"{name}Request"]["properties"] for name in ("NextWord", "Generate", "Score", "Completion")
        )
        next_word["text"]["maxLength"] = generate["prompt"]["maxLength"] = settings.max_characters
        for each in (generate, completion):
            each["n"]["maximum"], each["max_tokens"]["maximum"] = settings.max_n, settings.max_tokens
        score["texts"]["maxItems"] = settings.max_texts
        score["texts"]["items"]["maxLength"] = settings.max_characters
        _describe_prompts(completion["prompt"], settings)
        completion["model"]["const"] = model
        schemas["CompletionRequest"]["examples"] = examples(model)
        return page

    app.openapi = openapi  # type: ignore[method-assign]


def _describe_prompts(prompt: dict[str, Any], settings: Settings) -> None:
    text, texts, *_ = prompt["anyOf"]
    text["maxLength"] = settings.max_characters
    texts |= {"items": text, "maxItems": max(settings.max_texts, settings.max_n)}
