"""What dead workers leave behind goes back to the front of the queue.

Each recovery is a move like any other, with the job's hash as its fence: a worker that was taken
for dead and wakes up finds its job gone and commits nothing.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

import redis
from redis.client import Pipeline
from rq import Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from contract import leases
from contract.checkpoints import steps_done
from contract.claims import requeue
from contract.endings import fail
from contract.errors import ExecutionLost, MalformedJob, WorkerLost
from contract.events import EventKind, RequeueReason, note_event
from contract.job import restore_job
from contract.queue import queue_text
from contract.transactions import (
    DEATHS_FIELD,
    MOST_DEATHS,
    STRIKE_STEPS_FIELD,
    STRIKES_FIELD,
    STRIKES_UNTIL_ALONE,
    Claim,
    forget,
    is_held,
    number_in,
    owner_of,
    read_hash,
    transact,
)
from contract.turns import put_in_front

POPPED_MS = 2_000
"""A job that was popped this long ago and not claimed since has no worker."""

_STRAYS = """
local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)
local strays, here = {}, {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    here[id] = true
    redis.call('ZADD', KEYS[2], 'NX', now, id)
    if redis.call('ZSCORE', KEYS[2], id) + ARGV[1] <= now then strays[#strays + 1] = id end
end
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if not here[id] then redis.call('ZREM', KEYS[2], id) end
end
return strays
"""

Found = TypeVar("Found")
GivenUp = Callable[[Claim, WorkerLost], None]

logger = logging.getLogger(__name__)


def sweep(queue: Queue, given_up: GivenUp = lambda claim, error: None) -> list[str]:
    """The jobs that were recovered. Safe at any time, in any number of workers.

    Args:
        given_up: called for each of them that took too many workers down, and has failed now.
    """
    recover = partial(_recover, given_up)
    orphans = [each for each in leases.expired(queue) if _safely(recover, queue, each)]
    keys = queue.intermediate_queue_key, f"darkroom:popped:{queue.name}"
    popped: Any = queue.connection.eval(_STRAYS, len(keys), *keys, POPPED_MS)
    strays = [stray for stray in popped if _safely(_return, queue, stray)]
    return [str(each.job_id) for each in orphans] + [queue_text(stray) for stray in strays]


def _safely(recover: Callable[[Queue, Found], bool], queue: Queue, found: Found) -> bool:
    """One bad record must not hide the others."""
    try:
        return recover(queue, found)
    except (redis.ConnectionError, redis.TimeoutError):
        raise
    except Exception:
        logger.exception("%s cannot be recovered", found)
        return False


def _recover(given_up: GivenUp, queue: Queue, execution: Execution) -> bool:
    """Puts a job back whose worker let it down. False where it had moved on already."""
    connection, job_id = queue.connection, str(execution.job_id)
    raw = read_hash(connection, Job.key_for(job_id))
    try:
        job = restore_job(connection, job_id, raw)
    except MalformedJob:
        job = Job(job_id, connection=connection, serializer=JSONSerializer)
    execution.worker_name = job.worker_name or ""
    claim = Claim(queue, job, execution, owner=owner_of(raw))
    with suppress(ExecutionLost):  # it ended at this moment
        if is_held(claim, connection):
            logger.warning("job %s was let down by worker %s", job_id, job.worker_name)
            error = _strike(claim)
            if error is not None:
                given_up(claim, error)
            return True
    with connection.pipeline() as pipeline:
        forget(claim, pipeline)
        pipeline.execute()
    return False


def _strike(claim: Claim) -> WorkerLost | None:
    """A worker's death is not a job's fault, as long as the job gets on from worker to worker: that
    takes its strikes away. What it fails with, if it is one death too many."""
    connection = claim.queue.connection
    raw = read_hash(connection, claim.job.key)
    steps, deaths = steps_done(connection, claim.job_id), number_in(raw, DEATHS_FIELD) + 1
    is_further = steps > number_in(raw, STRIKE_STEPS_FIELD)
    strikes = 0 if is_further else number_in(raw, STRIKES_FIELD) + 1
    if strikes > STRIKES_UNTIL_ALONE or deaths >= MOST_DEATHS:
        died = strikes if strikes > STRIKES_UNTIL_ALONE else deaths
        error = WorkerLost(f"{died} workers died of it, the last one while it ran alone.")
        fail(claim, error)
        return error
    fields = {STRIKES_FIELD: strikes, STRIKE_STEPS_FIELD: steps, DEATHS_FIELD: deaths}
    requeue([claim], RequeueReason.LEASE_EXPIRED, fields)
    return None


def _return(queue: Queue, stray: bytes) -> bool:
    """Puts a job back that somebody popped who died before the claim."""
    key = Job.key_for(queue_text(stray))

    def attempt(pipeline: Pipeline) -> bool:
        is_waiting = read_hash(pipeline, key).get(b"status") == JobStatus.QUEUED.encode()
        pipeline.multi()
        pipeline.lrem(queue.intermediate_queue_key, 1, cast("str", stray))
        if is_waiting:
            pipeline.lpush(queue.key, stray)
            put_in_front(pipeline, queue, queue_text(stray))
            reason = RequeueReason.NEVER_CLAIMED
            note_event(pipeline, queue_text(stray), EventKind.REQUEUED, reason=reason)
        return is_waiting

    return transact(queue.connection, key, attempt)
