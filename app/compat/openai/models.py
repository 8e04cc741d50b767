"""GET /v1/models, and which model a name there stands for."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from app.admission import model_card
from app.compat.openai.errors import shown_errors
from app.responses import success
from app.services import Served
from contract import errors
from contract.workers import ModelCard

router = APIRouter(prefix="/v1/models", tags=["openai"])

JSON = "application/json"
MODEL_EXAMPLE = {"id": "starter", "object": "model", "created": 1795509933, "owned_by": "darkroom"}
MODELS_EXAMPLE = {"object": "list", "data": [MODEL_EXAMPLE]}


class ModelReply(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    object: Literal["model"] = "model"
    created: int  # seconds since the epoch; when a worker last said that it has it
    owned_by: Literal["darkroom"] = "darkroom"

    @classmethod
    def of(cls, card: ModelCard) -> "ModelReply":
        return cls(id=card.id, created=int(card.seen_at))


class ModelsReply(BaseModel):
    model_config = ConfigDict(frozen=True)

    object: Literal["list"] = "list"
    data: list[ModelReply]


@router.get(
    "",
    response_model=ModelsReply,
    responses=success(200, "The models known.", MODELS_EXAMPLE, JSON)
    | shown_errors(errors.RedisUnavailable),
    summary="Models, as OpenAI's SDK lists them",
)
async def list_models(services: Served) -> ModelsReply:
    census = await services.census.get()
    return ModelsReply(data=[ModelReply.of(card) for card in census.models.values()])


@router.get(
    "/{model_id:path}",
    response_model=ModelReply,
    responses=success(200, "The model.", MODEL_EXAMPLE, JSON)
    | shown_errors(
        errors.UnknownModel, errors.InvalidRequest, errors.RedisUnavailable, errors.NoModel
    ),
    summary="A model, or the one that a name stands for",
)
async def get_model(model_id: str, services: Served) -> ModelReply:
    census, settings = await services.census.get(), services.settings
    name = model_named(model_id, census.models, settings.openai_models)
    return ModelReply.of(model_card(name, census, settings.default_model))


def model_named(
    name: str | None, models: Mapping[str, ModelCard], aliases: Sequence[str]
) -> str | None:
    """Our model for a name of the caller's; None for the default one, and the name itself where
    it stands for nothing.

    Args:
        aliases: patterns of names, each perhaps with a `=` and a model; the first that fits holds.
    """
    if name is None or name in models:
        return name
    for alias in aliases:
        pattern, _, model = alias.partition("=")
        if fnmatchcase(name, pattern):
            return model or None
    return name
