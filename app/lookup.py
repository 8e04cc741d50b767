"""Finding a job by its id, and saying why there is none."""

import time

from app.service import Service
from contract import identity
from contract.connections import translated
from contract.errors import JobError, JobExpired, JobNotFound
from contract.job import JobRecord, read_job


def find_job(service: Service, job_id: str) -> JobRecord:
    """
    Raises:
        JobNotFound: there never was one, as far as can be told.
        JobExpired: there was one.
    """
    require_id(job_id)
    with translated():
        record = read_job(service.connection, job_id)
    if record is None:
        raise absence(job_id, service.settings.result_ttl_s)
    return record


def require_id(job_id: str) -> None:
    """Before an id becomes part of a key.

    Raises:
        JobNotFound: it is no id of ours.
    """
    if identity.created_at(job_id) is None:
        raise JobNotFound("There is no such job: this is no id of a job.")


def absence(job_id: str, result_ttl_s: int) -> JobError:
    """Why the record of a well-formed id is not there; the id says how old it is."""
    created_at = identity.created_at(job_id)
    if created_at is not None and time.time() - created_at > result_ttl_s:
        return JobExpired(f"The record of job {job_id} has expired.")
    return JobNotFound(f"There is no job {job_id}.")
