"""Finding a job by the id that a caller names."""

import time

from app.access import Caller
from app.services import Services
from contract import identity
from contract.deletion import deleted_owner
from contract.errors import JobDeleted, JobExpired, JobNotFound
from contract.job import JobRecord


async def find_job(services: Services, caller: Caller, job_id: str) -> JobRecord:
    """The one way to a job for whoever asks: it knows whose it is.

    Raises:
        JobNotFound: there never was such a job, as far as its id tells; or it is another's.
        JobDeleted: its owner, who asks, deleted it.
        JobExpired: there may have been, so long ago that it would no longer be kept.
    """
    created_at = identity.created_at(job_id)
    if created_at is None:
        raise JobNotFound("That is not the id of a job.")
    record = await services.backend.read_job(job_id, caller.owner)
    if record is not None:
        return record
    if created_at + services.settings.result_ttl_s < time.time():
        raise JobExpired(f"Job {job_id} is no longer kept.")
    if await services.backend.call(deleted_owner, job_id) == caller.owner:
        raise JobDeleted(f"Job {job_id} was deleted.")
    raise JobNotFound(f"There is no job {job_id}.")
