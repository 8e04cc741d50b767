"""The queue of a model: RQ's own list and records, so that RQ's tools show the truth."""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from redis import Redis, WatchError
from redis.client import Pipeline
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from contract import backlog, idempotency, identity
from contract.backlog import Standing
from contract.errors import DeadlineExceeded, MalformedJob
from contract.events import EventKind, note_event
from contract.idempotency import Ticket
from contract.request import JobRequest

TASK = "worker.tasks.generate"
"""By name, so that the HTTP side never imports it."""

STOCK_TIMEOUT_S = 3600
"""How long a stock `rq worker` lets one job run."""

RESCUES = 1000
"""How often RQ's own sweep may put an orphan back: a net below ours, never the reason to fail."""


def model_queue(connection: Redis, model: str) -> Queue:
    return Queue(f"darkroom-{model}", connection=connection, serializer=JSONSerializer)


def enqueue(
    queue: Queue,
    job_id: str,
    request: JobRequest,
    ttl_s: int,
    *,
    wait_s: float | None = None,
    ticket: Ticket | None = None,
) -> Standing | None:
    """Accepts a job in one transaction.

    Args:
        ttl_s: how long the job's record is kept once it has ended.
        wait_s: how long the job may wait for a worker. Its deadline is an argument of its own, as
            RQ's `ttl` would begin anew whenever the job is put back.
        ticket: an idempotency key, which is written down with the job.

    Returns:
        Where the job stands. None where the key had made a job already, or the answer was lost
        and may have been that it made this one: then the key tells.
    """
    job = _make_job(queue, job_id, request, ttl_s, wait_s)
    with queue.connection.pipeline() as pipeline:
        if ticket is not None and not _is_free(ticket, pipeline):
            return None
        queue.enqueue_job(job, pipeline=pipeline)  # first: it begins the transaction itself
        note_event(pipeline, job_id, EventKind.QUEUED)
        if ticket is not None:
            idempotency.note(pipeline, ticket, job_id)
        backlog.note(pipeline, queue.name, request.row_steps)
        pipeline.llen(queue.key)
        backlog.ask(pipeline, queue.name)
        try:
            *_, length, recent = pipeline.execute()
        except WatchError:
            return None
    work = backlog.work_until(length, length, backlog.recent_work(recent))
    return Standing(length, work)


def _is_free(ticket: Ticket, pipeline: Pipeline) -> bool:
    """Whether the key has made no job yet; if it makes one from now on, the pipeline fails."""
    pipeline.watch(ticket.redis_key)  # type: ignore[no-untyped-call]
    return not pipeline.exists(ticket.redis_key)


def _make_job(
    queue: Queue, job_id: str, request: JobRequest, ttl_s: int, wait_s: float | None
) -> Job:
    accepted = identity.created_at(job_id)
    arguments: dict[str, Any] = {"request": request.model_dump(mode="json")}
    if wait_s is not None:
        arguments["deadline"] = (accepted or time.time()) + wait_s
    job = queue.create_job(
        TASK,
        kwargs=arguments,
        job_id=job_id,
        timeout=STOCK_TIMEOUT_S,
        result_ttl=ttl_s,
        failure_ttl=ttl_s,
        description=f"generate {job_id}",  # never the prompt: RQ logs descriptions
        retry=Retry(max=RESCUES),
    )
    if accepted is not None:  # one time of acceptance, wherever it is read
        job.created_at = datetime.fromtimestamp(accepted, UTC)
    return job


def standing(queue: Queue, job_id: str) -> Standing | None:
    """Where the job stands in the queue; None where it is not waiting."""
    with queue.connection.pipeline() as pipeline:
        pipeline.lpos(queue.key, job_id)
        pipeline.llen(queue.key)
        backlog.ask(pipeline, queue.name)
        index, length, recent = pipeline.execute()
    if index is None:
        return None
    position = index + 1
    return Standing(position, backlog.work_until(position, length, backlog.recent_work(recent)))


def standings(queue: Queue, job_ids: Collection[str]) -> dict[str, Standing]:
    """Where those of the jobs stand that wait. One look at the queue for all of them, since each
    look for one job goes through the whole queue."""
    with queue.connection.pipeline() as pipeline:
        pipeline.lrange(queue.key, 0, -1)
        backlog.ask(pipeline, queue.name)
        members, answer = pipeline.execute()
    recent, wanted = backlog.recent_work(answer), set(job_ids)
    found = {}
    for position, member in enumerate(members, start=1):
        job_id = queue_text(member)
        if job_id in wanted:
            work = backlog.work_until(position, len(members), recent)
            found[job_id] = Standing(position, work)
    return found


def waiting(queue: Queue) -> tuple[int, float | None]:
    """How many jobs wait, and the row-steps in all of them; None where that is not known."""
    with queue.connection.pipeline() as pipeline:
        pipeline.llen(queue.key)
        backlog.ask(pipeline, queue.name)
        length, recent = pipeline.execute()
    return length, backlog.work_until(length, length, backlog.recent_work(recent))


def depth(queue: Queue) -> int:
    """Jobs that wait."""
    length: int = queue.connection.llen(queue.key)
    return length


def oldest_wait_s(queue: Queue) -> float:
    """Seconds since the job at the head of the queue was accepted; 0 where none waits."""
    head = queue.connection.lindex(queue.key, 0)
    accepted = identity.created_at(queue_text(head)) if head is not None else None
    return 0.0 if accepted is None else max(0.0, time.time() - accepted)


def queue_text(member: bytes | str) -> str:
    """The job's id, as it stands on a list. What is no text is no job's id, and finds none."""
    return member if isinstance(member, str) else member.decode(errors="replace")


def require_in_time(kwargs: Mapping[str, Any]) -> None:
    """
    Raises:
        DeadlineExceeded: the job, by its arguments, was to be taken earlier than now.
        MalformedJob: its deadline is none.
    """
    deadline = kwargs.get("deadline")
    if deadline is None:
        return
    if not isinstance(deadline, int | float):
        raise MalformedJob("The job's deadline is not a time.")
    if time.time() > deadline:
        raise DeadlineExceeded("No worker took the job within the time that it may wait.")


def job_request(kwargs: Mapping[str, Any]) -> JobRequest:
    """The request in an RQ job's arguments.

    Raises:
        MalformedJob: the arguments are not of our making.
    """
    try:
        return JobRequest.model_validate(kwargs["request"])
    except (KeyError, TypeError, ValidationError) as error:
        raise MalformedJob(f"The job's request is not valid: {error}") from error
