"""The moves of a job, each one transaction with the job's hash as the lock (WATCH, MULTI, EXEC).

RQ's records are written by RQ's own code inside them, so that its tools tell the truth. Two fields
of ours stand in the same hash: `execution_id` names the one execution that may end the job, and
`done_by` the one that did. A pop from the queue is no claim, and an execution record no fence.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError
from rq import Queue
from rq.command import send_command
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_RESULT_TTL
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import (
    BaseRegistry,
    CanceledJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
)
from rq.serializers import JSONSerializer
from rq.utils import as_text, current_timestamp, now, utcformat
from rq.worker import BaseWorker

from contract import leases
from contract.checkpoints import drop_checkpoint
from contract.errors import DarkroomError, ExecutionLost, JobEnded, JobNotFound, MalformedJob
from contract.events import EventKind, RequeueReason, note_end, note_event, publish_end
from contract.job import ERROR_FIELD, STATES, JobFault, JobResult, restore_job
from contract.leases import EXECUTION_FIELD
from contract.queue import job_request, queue_text
from contract.request import JobRequest
from contract.workers import WORKER_TTL_S

DONE_FIELD = "done_by"
STRIKES_FIELD = "strikes"
STRIKE_STEPS_FIELD = "strike_steps"
ATTEMPTS_FIELD = "attempts"

STRIKES_UNTIL_ALONE = 2
"""A job that so many workers died of runs alone; the next one that dies of it is the last."""

EXECUTION_TTL_S = 90
"""RQ's own lease on a running job. At least 60 s: whoever runs `rq info` sweeps what is older."""

QUARANTINE_TTL_S = 24 * 3600
"""How long a record that cannot be read is kept for a person to look at."""

Outcome = TypeVar("Outcome")

Fits = Callable[[JobRequest, bool], bool]
"""Whether a job may be taken, by its request and whether it must run alone."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to end one job: held by one execution at a time."""

    queue: Queue
    job: Job
    execution: Execution
    strikes: int = 0  # workers that died while they held it, without any progress

    @property
    def is_suspect(self) -> bool:
        """Whether so many workers died of it that it runs alone."""
        return self.strikes >= STRIKES_UNTIL_ALONE

    @property
    def job_id(self) -> str:
        return str(self.job.id)


def take(
    queue: Queue, worker_name: str, fits: Fits = lambda request, is_suspect: True
) -> Claim | None:
    """Pops jobs until one can be claimed; None where none waits, or the next one does not fit and
    is left to other workers. Does not block.

    What was popped stays on RQ's intermediate list until the claim, so a death in between loses
    nothing.
    """
    connection, intermediate = queue.connection, queue.intermediate_queue_key
    while _next_fits(queue, fits):
        popped = connection.lmove(queue.key, intermediate, "LEFT", "RIGHT")
        taken = claim(queue, popped, worker_name) if popped is not None else None
        if taken is not None:
            return taken
    return None


def _next_fits(queue: Queue, fits: Fits) -> bool:
    """One that cannot be read does: whoever takes it sets it aside."""
    head = queue.connection.lindex(queue.key, 0)
    if head is None:
        return False
    job_id = queue_text(head)
    try:
        raw = read_hash(queue.connection, Job.key_for(job_id))
        request = job_request(restore_job(queue.connection, job_id, raw).kwargs)
        return fits(request, _number(raw, STRIKES_FIELD) >= STRIKES_UNTIL_ALONE)
    except MalformedJob:
        return True


def claim(queue: Queue, popped: bytes | str, worker_name: str) -> Claim | None:
    """Makes a popped job this worker's. None where it is gone, ended, cancelled, or a double."""
    job_id = queue_text(popped)
    connection, key = queue.connection, Job.key_for(job_id)

    def move(pipeline: Pipeline) -> Claim | None:
        raw = read_hash(pipeline, key)
        end = _past_end(queue, job_id, pipeline) if DONE_FIELD.encode() in raw else None
        pipeline.multi()
        pipeline.lrem(queue.intermediate_queue_key, 1, cast("str", popped))
        if raw.get(b"status") != JobStatus.QUEUED.encode():
            return None
        if end is not None:
            pipeline.hset(key, "status", end)
            publish_end(pipeline, job_id)
            return None
        try:
            job = restore_job(connection, job_id, raw)
        except MalformedJob as error:
            _quarantine(pipeline, job_id, error)
            return None
        execution = Execution.create(job, EXECUTION_TTL_S, pipeline, worker_name)
        job.prepare_for_execution(worker_name, pipeline)
        leases.grant(pipeline, queue, execution)
        attempt = _number(raw, ATTEMPTS_FIELD) + 1
        fields: dict[Any, Any] = {EXECUTION_FIELD: execution.id, ATTEMPTS_FIELD: attempt}
        pipeline.hset(key, mapping=fields)
        pipeline.hdel(key, DONE_FIELD, ERROR_FIELD)
        note_event(pipeline, job_id, EventKind.STARTED, worker=worker_name, attempt=attempt)
        pipeline.persist(key)
        return Claim(queue, job, execution, _number(raw, STRIKES_FIELD))

    return transact(connection, key, move)


def _number(raw: Mapping[Any, Any], field: str) -> int:
    return int(raw.get(field.encode(), 0))


def read_hash(connection: Redis, key: str) -> dict[Any, Any]:
    """A key that holds something else is as good as none: no job stands there."""
    try:
        raw: dict[Any, Any] = connection.hgetall(key)
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        logger.error("%s is not a job's record", key)
        return {}
    return raw


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


def _quarantine(pipeline: Pipeline, job_id: str, error: MalformedJob) -> None:
    """A hash that RQ itself cannot read would stop every worker that meets it."""
    logger.error("job %s cannot be read; it is set aside as failed", job_id)
    fault = JobFault.of(error).model_dump_json()
    fields: dict[Any, Any] = {"status": JobStatus.FAILED, ERROR_FIELD: fault}
    pipeline.hset(Job.key_for(job_id), mapping=fields)
    pipeline.expire(Job.key_for(job_id), QUARANTINE_TTL_S)
    note_end(pipeline, job_id, EventKind.FAILED, QUARANTINE_TTL_S, code=error.code)


def commit(claim: Claim, result: JobResult) -> None:
    """Ends a job with its pictures. Safe to repeat when an answer was lost.

    Raises:
        ExecutionLost: the job is no longer this execution's; nothing was written.
    """
    job, execution = claim.job, claim.execution
    job._result = result.model_dump(mode="json")
    result_ttl = job.get_result_ttl(DEFAULT_RESULT_TTL)

    def write(pipeline: Pipeline) -> None:
        job._handle_success(
            result_ttl,
            pipeline=pipeline,
            worker_name=execution.worker_name,
            execution_id=execution.id,
            execution_started_at=execution.created_at,
            execution_ended_at=job.ended_at,
        )
        job.cleanup(result_ttl, pipeline=pipeline, remove_from_queue=False)
        note_end(pipeline, claim.job_id, EventKind.SUCCEEDED, result_ttl)
        _keep(pipeline, job.finished_job_registry, result_ttl)

    _end(claim, write, "successful_job_count")


def fail(claim: Claim, error: DarkroomError) -> None:
    """Ends a job with an honest error, never with a retry. Safe to repeat.

    Raises:
        ExecutionLost: the job is no longer this execution's; nothing was written.
    """
    job, execution = claim.job, claim.execution
    fault = JobFault.of(error)

    def write(pipeline: Pipeline) -> None:
        job.set_status(JobStatus.FAILED, pipeline=pipeline)
        job._handle_failure(
            f"{fault.code}: {fault.detail}",
            pipeline=pipeline,
            worker_name=execution.worker_name,
            execution_id=execution.id,
            execution_started_at=execution.created_at,
            execution_ended_at=job.ended_at,
        )
        pipeline.hset(job.key, ERROR_FIELD, fault.model_dump_json())
        note_end(pipeline, claim.job_id, EventKind.FAILED, _failure_ttl_s(job), code=fault.code)
        _keep(pipeline, job.failed_job_registry, job.failure_ttl)

    _end(claim, write, "failed_job_count")


def _end(claim: Claim, write: Callable[[Pipeline], None], counter: str) -> None:
    """What every end of an execution has in common, around RQ's own records of it."""
    job, execution = claim.job, claim.execution
    worker_key = BaseWorker.redis_worker_namespace_prefix + execution.worker_name

    def attempt(pipeline: Pipeline) -> None:
        if pipeline.hget(job.key, DONE_FIELD) == execution.id.encode():
            return  # carried out before, and the answer was lost
        if not is_held(claim, pipeline):
            raise ExecutionLost(f"Job {claim.job_id} moved on without this worker.")
        pipeline.multi()
        job.ended_at = now()
        write(pipeline)
        forget(claim, pipeline)
        drop_checkpoint(pipeline, claim.job_id)
        pipeline.hdel(job.key, EXECUTION_FIELD, STRIKES_FIELD, STRIKE_STEPS_FIELD)
        pipeline.hset(job.key, DONE_FIELD, execution.id)
        pipeline.hincrby(worker_key, counter, 1)
        pipeline.expire(worker_key, WORKER_TTL_S)  # or a record that expired stays for ever
        worked = (job.ended_at - execution.created_at).total_seconds()
        pipeline.hincrbyfloat(worker_key, "total_working_time", worked)

    transact(claim.queue.connection, job.key, attempt)
    claim.queue.enqueue_dependents(job)


def requeue(
    claims: Sequence[Claim],
    reason: RequeueReason = RequeueReason.HANDED_BACK,
    fields: Mapping[str, int] | None = None,
) -> None:
    """Puts jobs back at the front of their queue, in their old order, with no retry used up.

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
    note_event(pipeline, claim.job_id, EventKind.REQUEUED, reason=reason)


def cancel(connection: Redis, job_id: str) -> None:
    """Ends a job that waits or runs as cancelled, and tells the worker that runs it.

    Raises:
        JobNotFound: there is no such job.
        JobEnded: it has ended already.
    """
    worker_name = transact(connection, Job.key_for(job_id), partial(_cancel, connection, job_id))
    if worker_name:
        send_command(connection, worker_name, "stop-job", job_id=job_id)


def _cancel(connection: Redis, job_id: str, pipeline: Pipeline) -> str | None:
    """Returns the name of the worker that runs the job, if one does."""
    raw = pipeline.hgetall(Job.key_for(job_id))
    if b"data" not in raw:
        raise JobNotFound(f"There is no job {job_id}.")
    job = restore_job(connection, job_id, raw)
    status = job.get_status(refresh=False)
    if status not in (JobStatus.QUEUED, JobStatus.STARTED):
        raise JobEnded(f"Job {job_id} has ended already: {STATES.get(status, status.value)}.")
    queue = Queue(job.origin, connection=connection, serializer=JSONSerializer)
    pipeline.multi()
    held_by = raw.get(EXECUTION_FIELD.encode())
    if status is JobStatus.STARTED and held_by is not None:  # a stock worker's has none of ours
        execution = Execution(as_text(held_by), job_id, connection, job.worker_name or "")
        forget(Claim(queue, job, execution), pipeline)
        pipeline.hdel(job.key, EXECUTION_FIELD)
    fields: dict[Any, Any] = {
        "status": JobStatus.CANCELED,
        "ended_at": utcformat(now()),
        DONE_FIELD: "cancel",
    }
    pipeline.hset(job.key, mapping=fields)
    pipeline.lrem(queue.key, 0, job_id)
    pipeline.lrem(queue.intermediate_queue_key, 0, job_id)
    _register_cancelled(job, pipeline)
    drop_checkpoint(pipeline, job_id)
    note_end(pipeline, job_id, EventKind.CANCELLED, _failure_ttl_s(job))
    return job.worker_name if status is JobStatus.STARTED else None


def forget(claim: Claim, pipeline: Pipeline) -> None:
    """Removes an execution from RQ's records and its lease from ours."""
    claim.execution.delete(job=claim.job, pipeline=pipeline)
    leases.drop(pipeline, claim.queue, claim.execution)


def _failure_ttl_s(job: Job) -> int:
    """How long the record of a job is kept that ends without pictures."""
    return int(job.failure_ttl or DEFAULT_FAILURE_TTL)


def _register_cancelled(job: Job, pipeline: Pipeline) -> None:
    registry = CanceledJobRegistry(job.origin, job.connection, serializer=JSONSerializer)
    registry.add(job, pipeline=pipeline)
    if job.failure_ttl is not None:  # RQ itself would keep both for ever
        pipeline.expire(job.key, job.failure_ttl)
        pipeline.zremrangebyscore(registry.key, 0, current_timestamp() - job.failure_ttl)
        _keep(pipeline, registry, job.failure_ttl)


def _keep(pipeline: Pipeline, registry: BaseRegistry, ttl_s: int | None) -> None:
    """Lets a registry expire with the last job in it: RQ trims two of them, and only while a worker
    of the queue lives."""
    if ttl_s is not None and ttl_s > 0:
        pipeline.expire(registry.key, ttl_s, nx=True)
        pipeline.expire(registry.key, ttl_s, gt=True)


def is_held(claim: Claim, connection: Redis) -> bool:
    """Whether this execution is the one that may end the job."""
    status, worker, execution = connection.hmget(
        claim.job.key, ["status", "worker_name", EXECUTION_FIELD]
    )
    return (
        status == JobStatus.STARTED.encode()
        and worker == claim.execution.worker_name.encode()
        and execution == claim.execution.id.encode()
    )


def transact(connection: Redis, key: str, attempt: Callable[[Pipeline], Outcome]) -> Outcome:
    """Runs `attempt` with the key watched and carries out what it queued, again and again until
    nobody else touched the key meanwhile."""
    # redis-py's annotations know only its other form, which returns the results of EXEC.
    transaction = cast("Callable[..., Outcome]", connection.transaction)
    return transaction(attempt, key, value_from_callable=True)
