"""GET /v1/models: the model that is served, as OpenAI's clients list it."""

from datetime import UTC, datetime

from fastapi import APIRouter

from app.documented_errors import documented_for_openai
from app.errors import EARLY_PROBLEMS, FieldProblem, ModelNotFound
from app.openai_schemas import ServedModel, ServedModels
from app.service import Client, Service, service_of

router = APIRouter(tags=["OpenAI"])


@router.get("/v1/models", responses=documented_for_openai(*EARLY_PROBLEMS))
async def list_models(client: Client) -> ServedModels:
    """The one model that is served."""
    return ServedModels(data=[_served(service_of(client))])


@router.get("/v1/models/{model}", responses=documented_for_openai(*EARLY_PROBLEMS, ModelNotFound))
async def retrieve_model(model: str, client: Client) -> ServedModel:
    """The model of this name, if it is the one that is served."""
    service = service_of(client)
    require_served(service, model)
    return _served(service)


def require_served(service: Service, model: str) -> None:
    """Refuses a request for another model than the one that is served."""
    if model != service.model.name:
        problem = f"There is no model {model!r}; this service has {service.model.name!r}."
        raise ModelNotFound(problem, errors=[FieldProblem(field="model", problem=problem, code="model_not_found")])


def _served(service: Service) -> ServedModel:
    created = service.model.description.get("created", "1970-01-01")
    return ServedModel(
        id=service.model.name, created=int(datetime.fromisoformat(created).replace(tzinfo=UTC).timestamp())
    )
