"""Jobs: look at one, cancel one."""

from fastapi import APIRouter, Response

from app.access import Asker
from app.estimates import job_view
from app.lookup import find_job
from app.responses import problems, success
from app.services import Served
from app.views import CANCELLED_EXAMPLE, SUCCEEDED_EXAMPLE, JobView
from contract import endings, errors

router = APIRouter(prefix="/jobs", tags=["jobs"])

POLL_AGAIN_S = 1


@router.get(
    "/{job_id}",
    response_model=JobView,
    responses=success(200, "The job as it is now.", SUCCEEDED_EXAMPLE, "application/json")
    | problems(errors.JobNotFound, errors.JobExpired, errors.MalformedJob, errors.RedisUnavailable),
    summary="State, progress and pictures of a job",
)
async def get_job(job_id: str, services: Served, caller: Asker, response: Response) -> JobView:
    record = await find_job(services, caller, job_id)
    if not record.state.is_final:
        response.headers["Retry-After"] = str(POLL_AGAIN_S)
    return await job_view(services, record)


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
async def cancel_job(job_id: str, services: Served, caller: Asker) -> JobView:
    await find_job(services, caller, job_id)
    await services.backend.call(endings.cancel, job_id)
    return await job_view(services, await find_job(services, caller, job_id))
