"""The errors of each route as the OpenAPI page tells them: its real statuses, with an example of each problem."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from app import openai_errors
from app.errors import MEDIA_TYPE, FieldProblem, InvalidRequest, Problem, ProblemDetails, openai_error

SCHEMAS = "#/components/schemas/"

Entries = dict[int | str, dict[str, Any]]


def documented(*problems: type[Problem]) -> Entries:
    """The entries of the OpenAPI page for the problems a route can answer with."""
    entries: Entries = {}
    for problem in problems:
        _add(entries, problem.status, problem, MEDIA_TYPE, "ProblemDetails", _example(problem))
    return entries


def documented_for_openai(*problems: type[Problem]) -> Entries:
    """The same for a route under /v1."""
    entries: Entries = {}
    for problem in problems:
        status = openai_errors.status(problem.status)
        _add(entries, status, problem, "application/json", "OpenAIError", _openai_example(problem))
    return entries


def _add(entries: Entries, status: int, problem: type[Problem], media_type: str, schema: str, example: Any) -> None:
    """Several problems may have one status."""
    empty = {"description": "", "content": {media_type: {"schema": {"$ref": SCHEMAS + schema}, "examples": {}}}}
    entry = entries.setdefault(status, empty)
    entry["description"] = f"{entry['description']} {problem.description}".lstrip()
    entry["content"][media_type]["examples"][problem.type] = {"value": example}


def _example(problem: type[Problem]) -> dict[str, Any]:
    return problem(problem.description).details().model_dump(exclude_none=True)


def _openai_example(problem: type[Problem]) -> dict[str, Any]:
    wrong = [FieldProblem(field="n", problem="Input should be greater than or equal to 1")]
    errors = wrong if problem is InvalidRequest else None
    return openai_error(problem(problem.description, errors=errors).details()).model_dump()


def describe_errors(app: FastAPI) -> None:
    """Adds the schemas that entries refer to, and takes 422 away where FastAPI puts it and no route answers with it."""
    generated = app.openapi
    models = [(model, "serialization") for model in (ProblemDetails, openai_errors.OpenAIError)]
    _, known = models_json_schema(models, ref_template=SCHEMAS + "{model}")  # type: ignore[arg-type]

    def openapi() -> dict[str, Any]:
        page = generated()
        schemas: dict[str, Any] = page["components"]["schemas"] | known["$defs"]
        for path in filter(openai_errors.is_for_openai, page["paths"]):
            for operation in page["paths"][path].values():
                operation["responses"].pop("422", None)
        for of_fastapi in ("HTTPValidationError", "ValidationError"):
            schemas.pop(of_fastapi, None)
        page["components"]["schemas"] = schemas
        return page

    app.openapi = openapi  # type: ignore[method-assign]
