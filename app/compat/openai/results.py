"""The end of a job, to a caller who waits for pictures and takes nothing else."""

from app.compat.openai.errors import REQUEST_ID
from app.problems import JobFailed
from contract.errors import JobEnded, WaitInterrupted
from contract.job import JobRecord, JobState, PictureRecord


def require_pictures(record: JobRecord) -> list[PictureRecord]:
    """
    Raises:
        JobFailed, JobEnded: there will be none.
        WaitInterrupted: there are none yet.
    """
    if record.result is not None:
        return record.result.images
    if record.error is not None:
        fault = record.error
        raise JobFailed(fault.code, fault.title, fault.detail, {REQUEST_ID: record.id})
    if record.state is JobState.CANCELLED:
        raise JobEnded(f"Job {record.id} was cancelled.")
    raise WaitInterrupted(f"Job {record.id} goes on, but this process stops.", retry_after_s=1)
