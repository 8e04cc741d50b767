"""The ends of a job: with its pictures, with an error, or cancelled. There is one, and it holds."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from redis import Redis
from redis.client import Pipeline
from rq import Queue
from rq.command import send_command
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_RESULT_TTL
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.registry import BaseRegistry, CanceledJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import as_text, current_timestamp, now, utcformat
from rq.worker import BaseWorker

from contract import finished, holders, job_index
from contract.acceptance import note_left
from contract.checkpoints import drop_checkpoint
from contract.errors import DarkroomError, ExecutionLost, JobEnded, JobNotFound
from contract.events import EventKind, note_end
from contract.job import ERROR_FIELD, STATES, JobFault, JobResult, restore_job
from contract.leases import EXECUTION_FIELD
from contract.queue import job_request
from contract.transactions import (
    DEATHS_FIELD,
    DONE_FIELD,
    STRIKE_STEPS_FIELD,
    STRIKES_FIELD,
    Claim,
    forget,
    is_held,
    owner_of,
    transact,
)
from contract.webhooks import note_webhook
from contract.workers import WORKER_TTL_S


def commit(claim: Claim, result: JobResult) -> None:
    """Ends a job with its pictures. Safe to repeat when an answer was lost.

    Raises:
        ExecutionLost: the job is no longer this execution's; nothing was written.
    """
    job, execution = claim.job, claim.execution
    job._result = result.model_dump(mode="json")
    result_ttl = job.get_result_ttl(DEFAULT_RESULT_TTL)
    request = job_request(job.kwargs)

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
        note_webhook(pipeline, job, "job.succeeded", images=result.images)
        keep_registry(pipeline, job.finished_job_registry, result_ttl)
        holders.note(pipeline, result.digests, claim.job_id, result_ttl)
        if result.model_fingerprint:
            finished.note(pipeline, claim.owner, claim.job_id, request, result, result_ttl)
        job_index.note(pipeline, claim.owner, claim.job_id, result_ttl)

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
        note_webhook(pipeline, job, "job.failed", error=fault)
        keep_registry(pipeline, job.failed_job_registry, job.failure_ttl)
        job_index.note(pipeline, claim.owner, claim.job_id, _failure_ttl_s(job))

    _end(claim, write, "failed_job_count")


def _end(claim: Claim, write: Callable[[Pipeline], None], counter: str) -> None:
    """What every end of an execution has in common, around RQ's own records of it."""
    job, execution = claim.job, claim.execution
    worker_key = BaseWorker.redis_worker_namespace_prefix + execution.worker_name

    def move(pipeline: Pipeline) -> None:
        if pipeline.hget(job.key, DONE_FIELD) == execution.id.encode():
            return  # carried out before, and the answer was lost
        if not is_held(claim, pipeline):
            raise ExecutionLost(f"Job {claim.job_id} moved on without this worker.")
        pipeline.multi()
        job.ended_at = now()
        write(pipeline)
        forget(claim, pipeline)
        drop_checkpoint(pipeline, claim.job_id)
        pipeline.hdel(job.key, EXECUTION_FIELD, STRIKES_FIELD, STRIKE_STEPS_FIELD, DEATHS_FIELD)
        pipeline.hset(job.key, DONE_FIELD, execution.id)
        pipeline.hincrby(worker_key, counter, 1)
        pipeline.expire(worker_key, WORKER_TTL_S)  # or a record that expired stays for ever
        worked = (job.ended_at - execution.created_at).total_seconds()
        pipeline.hincrbyfloat(worker_key, "total_working_time", worked)

    transact(claim.queue.connection, job.key, move)
    claim.queue.enqueue_dependents(job)


def cancel(connection: Redis, job_id: str) -> None:
    """Ends a job that waits or runs as cancelled, and tells the worker that runs it.

    Raises:
        JobNotFound: there is no such job.
        JobEnded: it has ended already.
    """
    mark = f"cancel {uuid4().hex}"
    move = partial(_cancel, connection, job_id, mark)
    worker_name = transact(connection, Job.key_for(job_id), move)
    if worker_name:
        send_command(connection, worker_name, "stop-job", job_id=job_id)


def _cancel(connection: Redis, job_id: str, mark: str, pipeline: Pipeline) -> str | None:
    """Returns the name of the worker that ran the job, if one did."""
    raw = pipeline.hgetall(Job.key_for(job_id))
    if b"data" not in raw:
        raise JobNotFound(f"There is no job {job_id}.")
    job = restore_job(connection, job_id, raw)
    status = job.get_status(refresh=False)
    if raw.get(DONE_FIELD.encode()) == mark.encode():
        pipeline.multi()
        return job.worker_name  # carried out before, and the answer was lost
    if status not in (JobStatus.QUEUED, JobStatus.STARTED):
        raise JobEnded(f"Job {job_id} has ended already: {STATES.get(status, status.value)}.")
    queue = Queue(job.origin, connection=connection, serializer=JSONSerializer)
    pipeline.multi()
    held_by = raw.get(EXECUTION_FIELD.encode())
    if status is JobStatus.STARTED and held_by is not None:  # a stock worker's has none of ours
        execution = Execution(as_text(held_by), job_id, connection, job.worker_name or "")
        forget(Claim(queue, job, execution), pipeline)
        pipeline.hdel(job.key, EXECUTION_FIELD)
    job.ended_at = now()
    fields: dict[Any, Any] = {
        "status": JobStatus.CANCELED,
        "ended_at": utcformat(job.ended_at),
        DONE_FIELD: mark,
    }
    pipeline.hset(job.key, mapping=fields)
    pipeline.lrem(queue.key, 0, job_id)
    pipeline.lrem(queue.intermediate_queue_key, 0, job_id)
    note_left(pipeline, queue.name, job_id, owner_of(raw))
    _register_cancelled(job, pipeline)
    drop_checkpoint(pipeline, job_id)
    note_end(pipeline, job_id, EventKind.CANCELLED, _failure_ttl_s(job))
    job_index.note(pipeline, owner_of(raw), job_id, _failure_ttl_s(job))
    note_webhook(pipeline, job, "job.cancelled")
    return job.worker_name if status is JobStatus.STARTED else None


def _register_cancelled(job: Job, pipeline: Pipeline) -> None:
    registry = CanceledJobRegistry(job.origin, job.connection, serializer=JSONSerializer)
    registry.add(job, pipeline=pipeline)
    if job.failure_ttl is not None:  # RQ itself would keep both for ever
        pipeline.expire(job.key, job.failure_ttl)
        pipeline.zremrangebyscore(registry.key, 0, current_timestamp() - job.failure_ttl)
        keep_registry(pipeline, registry, job.failure_ttl)


def _failure_ttl_s(job: Job) -> int:
    """How long the record of a job is kept that ends without pictures."""
    return int(job.failure_ttl or DEFAULT_FAILURE_TTL)


def keep_registry(pipeline: Pipeline, registry: BaseRegistry, ttl_s: int | None) -> None:
    """Lets a registry expire with the last job in it: RQ trims two of them, and only while a worker
    of the queue lives."""
    if ttl_s is not None and ttl_s > 0:
        pipeline.expire(registry.key, ttl_s, nx=True)
        pipeline.expire(registry.key, ttl_s, gt=True)
