"""A job as its caller sees it, with how long it may still take."""

import math
from contextlib import suppress

from app.services import Services
from app.views import JobView
from contract.backlog import Standing
from contract.errors import RedisUnavailable
from contract.job import JobRecord
from contract.request import JobRequest

LEAST_POLL_S, MOST_POLL_S = 1, 10
DIGITS = 2  # of a job of half a second a tenth would be a fifth


async def job_view(services: Services, record: JobRecord) -> JobView:
    """A job that waits is judged by what its workers told, one that runs by its own worker."""
    estimated_s = record.left_s
    if record.standing is not None:
        estimated_s = await estimate_s(services, record.request, record.standing)
    return JobView.of(record, estimated_s)


async def estimate_s(services: Services, request: JobRequest, standing: Standing) -> float | None:
    """Until a job is done that waits at this standing; None where nobody knows. Where the workers
    cannot be asked for, only the estimate is missing: the answer to an accepted job is never an
    error."""
    with suppress(RedisUnavailable):
        seconds = (await services.census.get()).seconds(request, standing)
        return round(seconds, DIGITS) if seconds is not None else None
    return None


def poll_again_s(job: JobView) -> int:
    """When to ask again for a job that has not ended: about when it should be done."""
    return max(LEAST_POLL_S, min(math.ceil(job.estimated_s or 0.0), MOST_POLL_S))
