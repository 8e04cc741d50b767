"""A job that is answered from an equal finished one: accepted and ended in one transaction, with
all the records of a job that a worker did."""

from typing import Any

from redis import WatchError
from rq import Queue
from rq.utils import now

from contract import finished, holders, idempotency, job_index
from contract.endings import keep_registry
from contract.events import EventKind, note_end, note_event
from contract.finished import Finished
from contract.idempotency import Ticket
from contract.job import JobRecord, JobState, Timings
from contract.queue import is_free, make_job
from contract.request import JobRequest
from contract.transactions import DONE_FIELD, OWNER_FIELD

BY_CACHE = "cache"
"""In place of a worker, in the job's history."""

NO_TIME = Timings(queue_s=0, join_s=0, denoise_s=0, decode_s=0, encode_s=0, total_s=0)


def answer(
    queue: Queue,
    job_id: str,
    request: JobRequest,
    found: Finished,
    ttl_s: int,
    *,
    ticket: Ticket | None = None,
    owner: str = "",
) -> JobRecord | None:
    """Makes the job. None where the ticket had made one already.

    Its pictures must be held for it (`holders.hold`) and in their store by now.
    """
    result = found.result.model_copy(update={"timings": NO_TIME, "cached": True})
    job = make_job(queue, job_id, request, ttl_s, None)
    job.enqueued_at = job.started_at = job.ended_at = now()
    job._result = result.model_dump(mode="json")
    fields: dict[Any, Any] = {DONE_FIELD: f"{BY_CACHE} {found.job_id}"}
    if owner:
        fields[OWNER_FIELD] = owner
    with queue.connection.pipeline() as pipeline:
        if ticket is not None and not is_free(ticket, pipeline):
            return None
        pipeline.multi()
        pipeline.sadd(queue.redis_queues_keys, queue.key)
        job._handle_success(ttl_s, pipeline=pipeline)
        pipeline.hset(job.key, mapping=fields)
        job.cleanup(ttl_s, pipeline=pipeline, remove_from_queue=False)
        keep_registry(pipeline, job.finished_job_registry, ttl_s)
        note_event(pipeline, job_id, EventKind.QUEUED)
        note_event(pipeline, job_id, EventKind.STARTED, worker=BY_CACHE, attempt=1)
        note_end(pipeline, job_id, EventKind.SUCCEEDED, ttl_s)
        if ticket is not None:
            idempotency.note(pipeline, ticket, job_id)
        holders.note(pipeline, result.digests, job_id, ttl_s)
        finished.note(pipeline, owner, job_id, request, found.result, ttl_s)
        job_index.note(pipeline, owner, job_id, ttl_s)
        try:
            pipeline.execute()
        except WatchError:
            return None
    assert job.created_at is not None
    return JobRecord(
        id=job_id,
        state=JobState.SUCCEEDED,
        request=request,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        progress=None,
        queue_position=None,
        work_ahead=None,
        result=result,
        error=None,
        worker=None,
        owner=owner,
    )
