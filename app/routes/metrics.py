"""GET /metrics, for Prometheus."""

from anyio import to_thread
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.responses import success
from app.services import Served

router = APIRouter(tags=["health"])

MEDIA_TYPE = "text/plain"


@router.get(
    "/metrics",
    response_class=Response,
    responses=success(200, "Prometheus' text format.", "darkroom_redis_up 1.0", MEDIA_TYPE),
    summary="The API's own figures and the queue's",
)
async def get_metrics(services: Served) -> Response:
    text = await to_thread.run_sync(generate_latest, services.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
