"""A job that is answered from an equal finished one: accepted and ended in one transaction, with
all the records of a job that a worker did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import WatchError
from redis.client import Pipeline
from rq import Queue
from rq.utils import now

from contract import finished, holders, idempotency, job_index
from contract.acceptance import NO_TERMS, Terms, count, note_terms
from contract.endings import keep_registry
from contract.events import EventKind, note_end, note_event
from contract.finished import Finished
from contract.idempotency import Ticket
from contract.job import JobRecord, JobState, Timings, subscription_of, tags_of
from contract.queue import make_job
from contract.quotas import Quotas
from contract.request import JobRequest
from contract.timeline import MOMENTS, Timeline
from contract.transactions import DONE_FIELD
from contract.webhooks import note_webhook

BY_CACHE = "cache"
"""In place of a worker, in the job's history."""

NO_TIME = Timings.of(Timeline((0.0,) * (len(MOMENTS) - 1)))


@dataclass(frozen=True, slots=True)
class Answered:
    record: JobRecord
    quotas: Quotas  # what the owner has left


def answer(
    queue: Queue,
    job_id: str,
    request: JobRequest,
    found: Finished,
    ttl_s: int,
    *,
    ticket: Ticket | None = None,
    terms: Terms = NO_TERMS,
    meta: Mapping[str, Any] | None = None,
) -> Answered | None:
    """Makes the job. None where the ticket had made one already.

    Its pictures must be held for it (`holders.hold`) and in their store by now. It waits for
    nothing, so of the terms only the jobs of a minute bound it.

    Raises:
        RateLimited: the owner has asked for too many.
    """
    result = found.result.model_copy(update={"timings": NO_TIME, "cached": True, "device_s": 0.0})
    job = make_job(queue, job_id, request, ttl_s, None, meta)
    job.enqueued_at = job.started_at = job.ended_at = now()
    job._result = result.model_dump(mode="json")
    owner = terms.owner
    with queue.connection.pipeline() as pipeline:
        if ticket is not None and not _is_free(ticket, pipeline):
            return None
        quotas = count(queue.connection, terms)
        pipeline.multi()
        pipeline.sadd(queue.redis_queues_keys, queue.key)
        job.save(pipeline=pipeline)  # RQ's own end of a job leaves its `meta` alone
        job._handle_success(ttl_s, pipeline=pipeline)
        note_terms(pipeline, job_id, request, terms)
        pipeline.hset(job.key, DONE_FIELD, f"{BY_CACHE} {found.job_id}")
        job.cleanup(ttl_s, pipeline=pipeline, remove_from_queue=False)
        keep_registry(pipeline, job.finished_job_registry, ttl_s)
        note_event(pipeline, job_id, EventKind.QUEUED)
        note_event(pipeline, job_id, EventKind.STARTED, worker=BY_CACHE, attempt=1)
        note_webhook(pipeline, job, "job.started")
        note_end(pipeline, job_id, EventKind.SUCCEEDED, ttl_s)
        note_webhook(pipeline, job, "job.succeeded", images=result.images)
        if ticket is not None:
            pipeline.set(ticket.redis_key, ticket.entry(job_id), ex=idempotency.KEPT_S)
        holders.note(pipeline, result.digests, job_id, ttl_s)
        finished.note(pipeline, owner, job_id, request, found.result, ttl_s)
        job_index.note(pipeline, owner, job_id, ttl_s)
        try:
            pipeline.execute()
        except WatchError:
            return None
    assert job.created_at is not None
    record = JobRecord(
        id=job_id,
        state=JobState.SUCCEEDED,
        request=request,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        progress=None,
        standing=None,
        result=result,
        error=None,
        worker=None,
        owner=owner,
        tags=tags_of(job),
        subscription=subscription_of(job),
    )
    return Answered(record, quotas)


def _is_free(ticket: Ticket, pipeline: Pipeline) -> bool:
    """Whether the key has made no job yet; if it makes one from now on, the pipeline fails."""
    pipeline.watch(ticket.redis_key)  # type: ignore[no-untyped-call]
    return not pipeline.exists(ticket.redis_key)
