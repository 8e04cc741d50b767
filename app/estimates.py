"""A job as its caller sees it, with how long it may still take."""

from contextlib import suppress

from app.services import Services
from app.views import JobView
from contract.errors import RedisUnavailable
from contract.job import JobRecord


async def job_view(services: Services, record: JobRecord) -> JobView:
    """Where the workers' speeds cannot be asked for, only the estimate is missing: the answer to an
    accepted job is never an error."""
    speed = None
    if record.work_ahead is not None:
        with suppress(RedisUnavailable):
            speed = (await services.census.get()).row_steps_per_s(record.request.model)
    return JobView.of(record, speed)
