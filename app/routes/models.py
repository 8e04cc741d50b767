"""GET /models: what can be asked of which model."""

from fastapi import APIRouter, Depends
from redis import Redis

from app.census import Census, take_census
from app.known_query import known_query
from app.responses import problems, success
from app.services import Served
from app.views import MODELS_EXAMPLE, ModelsView, ModelView
from contract import errors, queue

router = APIRouter()


@router.get(
    "/models",
    response_model=ModelsView,
    dependencies=[Depends(known_query)],
    responses=success(200, "The models known.", MODELS_EXAMPLE, "application/json")
    | problems(errors.InvalidRequest, errors.RedisUnavailable),
    summary="Models, their sizes, and what each sampler can do on them",
)
async def get_models(services: Served) -> ModelsView:
    census, depths = await services.backend.call(_census_and_depths)
    default = census.default_model(services.settings.default_model)
    live = census.live_count()
    return ModelsView(
        models=[
            ModelView(
                **card.model_dump(),
                live_workers=live[card.id],
                queued=depths[card.id],
                default=default is not None and card.id == default.id,
            )
            for card in census.models.values()
        ]
    )


def _census_and_depths(connection: Redis) -> tuple[Census, dict[str, int]]:
    census = take_census(connection)
    depths = {model: queue.depth(queue.model_queue(connection, model)) for model in census.models}
    return census, depths
