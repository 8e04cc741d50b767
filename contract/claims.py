"""A worker takes jobs and gives them back."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from redis.client import Pipeline
from rq import Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry

from contract import job_index, leases
from contract.ability import Ability
from contract.acceptance import note_left
from contract.errors import MalformedJob
from contract.events import EventKind, RequeueReason, note_end, note_event, publish_end
from contract.job import ERROR_FIELD, JobFault, restore_job
from contract.leases import EXECUTION_FIELD
from contract.passed_jobs import PassedJobs, Waiting
from contract.queue import job_request, queue_text
from contract.request import JobRequest
from contract.transactions import (
    ATTEMPTS_FIELD,
    DONE_FIELD,
    STRIKES_FIELD,
    Claim,
    forget,
    is_held,
    is_suspect,
    number_in,
    owner_of,
    read_hash,
    transact,
)
from contract.turns import put_in_front
from contract.webhooks import note_webhook

EXECUTION_TTL_S = 90
"""RQ's own lease on a running job. At least 60 s: whoever runs `rq info` sweeps what is older."""

MOST_LOST = 2
"""How often in a row others may be quicker to take the job that was looked at. Where many workers
with room meet many jobs, all would look at each job, and one would have it."""

QUARANTINE_TTL_S = 24 * 3600
"""How long a record that cannot be read is kept for a person to look at."""

# Only the job that was looked at: another one, a suspect maybe, may stand there by now.
_POP = """
if redis.call('LINDEX', KEYS[1], ARGV[2]) ~= ARGV[1] then return false end
redis.call('LREM', KEYS[1], 1, ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[1])
return ARGV[1]
"""

Fits = Callable[[JobRequest, bool], bool]
"""Whether a job may be taken, by its request and whether it must run alone."""

logger = logging.getLogger(__name__)


def take(
    queue: Queue,
    worker_name: str,
    fits: Fits = lambda request, is_suspect: True,
    passed: PassedJobs | None = None,
) -> Claim | None:
    """Pops jobs until one can be claimed; None where none waits, or the next one does not fit and
    is left to other workers, or they are quicker. Does not block.

    What was popped stays on RQ's intermediate list until the claim, so a death in between loses
    nothing.

    Args:
        passed: the jobs that are for others; who takes job after job keeps it, so that they are not
            read each time.
    """
    passed = PassedJobs(queue) if passed is None else passed
    keys, lost = (queue.key, queue.intermediate_queue_key), 0
    while lost < MOST_LOST:
        first = passed.first_behind()
        if first is None or not _fits(first, fits):
            return None
        popped: Any = queue.connection.eval(_POP, len(keys), *keys, first.member, first.at)
        if popped is None:
            lost += 1
            continue
        taken = claim(queue, popped, worker_name, passed.ability)
        if taken is not None:
            return taken
    return None


def _fits(waiting: Waiting, fits: Fits) -> bool:
    """One that cannot be read does: whoever takes it sets it aside."""
    try:
        return fits(job_request(waiting.kwargs), waiting.is_suspect)
    except MalformedJob:
        return True


def claim(
    queue: Queue, popped: bytes | str, worker_name: str, ability: Ability | None = None
) -> Claim | None:
    """Makes a popped job this worker's. None where it is gone, ended, cancelled, or a double; or
    beyond the worker's ability: then it is back where it was, for others.
    """
    ability = ability or Ability()
    job_id = queue_text(popped)
    connection, key = queue.connection, Job.key_for(job_id)
    made: Claim | None = None

    def move(pipeline: Pipeline) -> Claim | None:
        nonlocal made
        raw = read_hash(pipeline, key)
        if made is not None and raw.get(EXECUTION_FIELD.encode()) == made.execution.id.encode():
            pipeline.multi()
            return made  # carried out before, and the answer was lost
        end = _past_end(queue, job_id, pipeline) if DONE_FIELD.encode() in raw else None
        pipeline.multi()
        pipeline.lrem(queue.intermediate_queue_key, 1, cast("str", popped))
        if raw.get(b"status") != JobStatus.QUEUED.encode():
            note_left(pipeline, queue.name, job_id, owner_of(raw))
            return None
        try:
            job = restore_job(connection, job_id, raw)
        except MalformedJob as error:
            note_left(pipeline, queue.name, job_id, owner_of(raw))
            _quarantine(pipeline, job_id, owner_of(raw), error)
            return None
        if ability.leaves(job.kwargs):
            pipeline.lpush(queue.key, popped)
            put_in_front(pipeline, queue, job_id)
            return None
        note_left(pipeline, queue.name, job_id, owner_of(raw))
        if end is not None:
            pipeline.hset(key, "status", end)
            publish_end(pipeline, job_id)
            return None
        former = raw.get(EXECUTION_FIELD.encode())
        if former is not None:  # our own moves take it away
            lost = Execution(queue_text(former), job_id, connection)
            leases.drop(pipeline, queue, lost)
            reason = RequeueReason.MOVED_BY_RQ
            note_event(pipeline, job_id, EventKind.REQUEUED, reason=reason)
        execution = Execution.create(job, EXECUTION_TTL_S, pipeline, worker_name)
        job.prepare_for_execution(worker_name, pipeline)
        leases.grant(pipeline, queue, execution)
        attempt = number_in(raw, ATTEMPTS_FIELD) + 1
        fields: dict[Any, Any] = {EXECUTION_FIELD: execution.id, ATTEMPTS_FIELD: attempt}
        pipeline.hset(key, mapping=fields)
        pipeline.hdel(key, DONE_FIELD, ERROR_FIELD)
        note_event(pipeline, job_id, EventKind.STARTED, worker=worker_name, attempt=attempt)
        if attempt == 1:
            note_webhook(pipeline, job, "job.started")
        pipeline.persist(key)
        job_index.note(pipeline, owner_of(raw), job_id)
        strikes = number_in(raw, STRIKES_FIELD)
        made = Claim(queue, job, execution, attempt, strikes, is_suspect(raw), owner_of(raw))
        return made

    return transact(connection, key, move)


def _past_end(queue: Queue, job_id: str, pipeline: Pipeline) -> JobStatus | None:
    """How a job ended that is queued again: RQ's sweep, which has no fence, may do that to one that
    ends at the same moment. None where somebody wants it done anew, as `rq requeue` does, which
    takes it out of its registry first."""
    for registry, end in (
        (FinishedJobRegistry, JobStatus.FINISHED),
        (FailedJobRegistry, JobStatus.FAILED),
        (CanceledJobRegistry, JobStatus.CANCELED),
    ):
        if pipeline.zscore(registry(queue=queue).key, job_id) is not None:
            return end
    return None


def _quarantine(pipeline: Pipeline, job_id: str, owner: str, error: MalformedJob) -> None:
    """A hash that RQ itself cannot read would stop every worker that meets it."""
    logger.error("job %s cannot be read; it is set aside as failed", job_id)
    fault = JobFault.of(error).model_dump_json()
    fields: dict[Any, Any] = {"status": JobStatus.FAILED, ERROR_FIELD: fault}
    pipeline.hset(Job.key_for(job_id), mapping=fields)
    pipeline.expire(Job.key_for(job_id), QUARANTINE_TTL_S)
    note_end(pipeline, job_id, EventKind.FAILED, QUARANTINE_TTL_S, code=error.code)
    job_index.note(pipeline, owner, job_id, QUARANTINE_TTL_S)


def requeue(
    claims: Sequence[Claim],
    reason: RequeueReason = RequeueReason.HANDED_BACK,
    fields: Mapping[str, int] | None = None,
) -> None:
    """Puts jobs back before all others of their priority, in their old order. Uses up no retry.

    Those that are no longer this worker's are left alone.

    Args:
        claims: what to give back.
        reason: why, for the jobs' history.
        fields: what to note in the jobs' hashes along with it.
    """
    for claim in reversed(claims):
        move = partial(_requeue, claim, reason, fields or {})
        transact(claim.queue.connection, claim.job.key, move)


def _requeue(
    claim: Claim, reason: RequeueReason, fields: Mapping[str, int], pipeline: Pipeline
) -> None:
    if not is_held(claim, pipeline):
        return
    pipeline.multi()
    forget(claim, pipeline)
    pipeline.hdel(claim.job.key, EXECUTION_FIELD)
    for field, value in fields.items():
        pipeline.hset(claim.job.key, field, value)
    claim.queue._enqueue_job(claim.job, pipeline=pipeline, at_front=True)
    put_in_front(pipeline, claim.queue, claim.job_id)
    note_event(pipeline, claim.job_id, EventKind.REQUEUED, reason=reason)
