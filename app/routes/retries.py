"""POST /jobs/{id}/retry: the same once more."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access import Asker
from app.lookup import find_job
from app.responses import problems
from app.routes.generate import ANSWERS, MANNER, PROBLEMS, manner_of, submit
from app.services import Served
from app.views import JobView
from contract import errors
from contract.errors import InvalidRequest
from contract.request import MOST_SEED, Seed

router = APIRouter(prefix="/jobs", tags=["jobs"])


class RetryRequest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seed: Annotated[
        Literal["same", "new"] | Seed,
        Field(description="`new` draws one; with the same one the pictures are the same."),
    ] = "same"


SAME = RetryRequest()
EXAMPLES = {"same": {"value": {"seed": "same"}}, "new": {"value": {"seed": "new"}}}


@router.post(
    "/{job_id}/retry",
    status_code=202,
    response_model=JobView,
    responses=ANSWERS | problems(errors.JobNotFound, errors.JobDeleted, *PROBLEMS),
    openapi_extra=MANNER,
    summary="Ask for the same again, as a new job",
)
async def retry_job(
    job_id: str,
    services: Served,
    caller: Asker,
    request: Request,
    retry: Annotated[RetryRequest, Body(openapi_examples=EXAMPLES)] = SAME,
) -> Response:
    """Whatever has become of the job. All else is as in POST /generate."""
    record = await find_job(services, caller, job_id)
    seeds = {"same": record.request.seed, "new": None}
    seed = seeds[retry.seed] if isinstance(retry.seed, str) else retry.seed
    if seed is not None and seed + record.request.images - 1 > MOST_SEED:
        raise InvalidRequest(f"seed + images - 1 must be at most {MOST_SEED}.", field="seed")
    return await submit(services, caller, record.asked(seed), manner_of(request))
