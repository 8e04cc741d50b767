"""Jobs: look at one, cancel one."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.estimates import job_view, poll_again_s
from app.lookup import find_job
from app.responses import problems, success
from app.services import Served
from app.views import CANCELLED_EXAMPLE, SUCCEEDED_EXAMPLE, JobView
from contract import endings, errors

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get(
    "/{job_id}",
    response_model=JobView,
    responses=success(200, "The job as it is now.", SUCCEEDED_EXAMPLE, "application/json")
    | problems(
        errors.JobNotFound,
        errors.JobExpired,
        errors.MalformedJob,
        errors.InvalidRequest,
        errors.RedisUnavailable,
    ),
    summary="State, progress and pictures of a job",
    description="Until the job has ended, `Retry-After` says when to ask again.",
)
async def get_job(
    job_id: str,
    services: Served,
    response: Response,
    wait: Annotated[
        int,
        Query(ge=0, description="Waits up to so many seconds for the end, within a limit."),
    ] = 0,
) -> JobView:
    record = await find_job(services, job_id)
    if wait and not record.state.is_final:
        seconds = min(wait, services.settings.max_wait_s)
        record = await services.endings.wait(record, seconds)
    job = await job_view(services, record)
    if not job.state.is_final:
        response.headers["Retry-After"] = str(poll_again_s(job))
    return job


@router.delete(
    "/{job_id}",
    response_model=JobView,
    responses=success(200, "The job, now cancelled.", CANCELLED_EXAMPLE, "application/json")
    | problems(
        errors.JobNotFound,
        errors.JobExpired,
        errors.JobEnded,
        errors.MalformedJob,
        errors.RedisUnavailable,
        errors.QueueFull,  # Redis is out of memory, and to cancel is to write
    ),
    summary="Cancel a job, queued or running",
)
async def cancel_job(job_id: str, services: Served) -> JobView:
    await find_job(services, job_id)
    await services.backend.call(endings.cancel, job_id)
    return await job_view(services, await find_job(services, job_id))
