"""The OpenAPI page, with the limits of this service where the schemas leave them to its settings."""

from typing import Any

from fastapi import FastAPI

from app.settings import Settings


def describe_limits(app: FastAPI, settings: Settings) -> None:
    """Has the page say what is refused, so that nobody is sent away for what it allows."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        page = generated()
        schemas = page["components"]["schemas"]
        next_word, generate, score = (
            schemas[name]["properties"] for name in ("NextWordRequest", "GenerateRequest", "ScoreRequest")
        )
        next_word["text"]["maxLength"] = generate["prompt"]["maxLength"] = settings.max_characters
        generate["n"]["maximum"], generate["max_tokens"]["maximum"] = settings.max_n, settings.max_tokens
        score["texts"]["maxItems"] = settings.max_texts
        score["texts"]["items"]["maxLength"] = settings.max_characters
        return page

    app.openapi = openapi  # type: ignore[method-assign]
