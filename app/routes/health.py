"""Whether the process is up, and whether it can accept work."""

from fastapi import APIRouter

from app.responses import problems, success
from app.services import Served
from app.views import READY_EXAMPLE, HealthView, ReadyView
from contract import errors
from contract.workers import live_workers

router = APIRouter(tags=["health"])


@router.get(
    "/healthz",
    response_model=HealthView,
    responses=success(200, "The process is up.", {"status": "up"}, "application/json"),
    summary="The process is up",
)
async def get_health() -> HealthView:
    return HealthView(status="up")


@router.get(
    "/readyz",
    response_model=ReadyView,
    responses=success(200, "Work is accepted.", READY_EXAMPLE, "application/json")
    | problems(errors.RedisUnavailable),
    summary="Redis answers, so work is accepted; these workers live",
)
async def get_readiness(services: Served) -> ReadyView:
    return ReadyView(status="ready", workers=await services.backend.call(live_workers))
