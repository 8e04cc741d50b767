"""A job as its caller sees it, with how long it may still take."""

import math
from contextlib import suppress

from app.services import Services
from app.views import JobView, seconds_for
from contract.errors import RedisUnavailable
from contract.job import JobRecord

LEAST_POLL_S, MOST_POLL_S = 1, 10


async def job_view(services: Services, record: JobRecord) -> JobView:
    """Where the workers' speeds cannot be asked for, only the estimate is missing: the answer to an
    accepted job is never an error."""
    speed = None
    if record.work_ahead is not None:
        speed = await _speed(services, record.request.model)
    return JobView.of(record, speed)


async def estimate_s(services: Services, model: str, work: float | None) -> float | None:
    """How long the model's workers need for so many row-steps; None where nobody knows."""
    if work is None:
        return None
    return seconds_for(work, await _speed(services, model))


def poll_again_s(job: JobView) -> int:
    """When to ask again for a job that has not ended: about when it should be done."""
    return max(LEAST_POLL_S, min(math.ceil(job.estimated_s or 0.0), MOST_POLL_S))


async def _speed(services: Services, model: str) -> float | None:
    with suppress(RedisUnavailable):
        return (await services.census.get()).row_steps_per_s(model)
    return None
