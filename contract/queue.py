"""The queue of a model: RQ's own list and records, so that RQ's tools show the truth."""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import redis
from pydantic import ValidationError
from redis import Redis
from redis.client import Pipeline
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from contract import backlog, identity
from contract.acceptance import NO_TERMS, Terms, Verdict, judge, note_terms, read_verdict
from contract.backlog import Standing
from contract.errors import DeadlineExceeded, MalformedJob
from contract.events import EventKind, note_event
from contract.idempotency import Ticket
from contract.mould import Mould, own_words, words_of
from contract.origin import UNKNOWN, Origin
from contract.request import JobRequest
from contract.version import VERSION_ARGUMENT, require_known

TASK = "worker.tasks.generate"
"""By name, so that the HTTP side never imports it."""

LEAST_REDIS = (7, 0, 0)
"""EXPIRE has NX and GT since. RQ would ask for the version; to say it costs no round trip."""

STOCK_TIMEOUT_S = 3600
"""How long a stock `rq worker` lets one job run."""

RESCUES = 1000
"""How often RQ's own sweep may put an orphan back: a net below ours, never the reason to fail."""


def model_queue(connection: Redis, model: str) -> Queue:
    queue = Queue(f"darkroom-{model}", connection=connection, serializer=JSONSerializer)
    queue.redis_server_version = LEAST_REDIS
    return queue


def enqueue(
    queue: Queue,
    job_id: str,
    request: JobRequest,
    ttl_s: int,
    *,
    wait_s: float | None = None,
    ticket: Ticket | None = None,
    terms: Terms = NO_TERMS,
    meta: Mapping[str, Any] | None = None,
    finished_key: str = "",
    origin: Origin = UNKNOWN,
) -> Verdict:
    """Accepts a job in one transaction and one round trip.

    Returns:
        What `read_verdict` does. None also where the answer was lost and may have been that the
        ticket made this job: then it tells.

    Raises:
        QueueFull, TooMuchWaiting, TooManyQueued, RateLimited: the terms do not allow it.
    """
    with queue.connection.pipeline(transaction=False) as pipeline:
        ask_to_enqueue(
            pipeline,
            queue,
            job_id,
            request,
            ttl_s,
            wait_s=wait_s,
            ticket=ticket,
            terms=terms,
            meta=meta,
            finished_key=finished_key,
            origin=origin,
        )
        try:
            (answer,) = pipeline.execute()
        except (redis.ConnectionError, redis.TimeoutError):
            if ticket is None:
                raise
            return None
    return read_verdict(answer, terms)


def ask_to_enqueue(
    pipeline: Pipeline,
    queue: Queue,
    job_id: str,
    request: JobRequest,
    ttl_s: int,
    *,
    wait_s: float | None = None,
    ticket: Ticket | None = None,
    terms: Terms = NO_TERMS,
    meta: Mapping[str, Any] | None = None,
    finished_key: str = "",
    origin: Origin = UNKNOWN,
) -> None:
    """Queues the one command that accepts a job, whose answer `read_verdict` reads.

    Args:
        job_id: a fresh one for each call.
        ttl_s: how long the job's record is kept once it has ended.
        wait_s: how long the job may wait for a worker. Its deadline is an argument of its own, as
            RQ's `ttl` would begin anew whenever the job is put back.
        ticket: an idempotency key, which is written down with the job.
        meta: what stands beside the request and changes no picture; `webhooks.aside` makes it.
        finished_key: where an equal job stands that would do, by `finished.key_of`.
        origin: the request that makes the job.
    """
    beside = queue.connection.pipeline()
    note_terms(beside, job_id, request, terms)
    note_event(beside, job_id, EventKind.QUEUED)
    records = [*_records(queue, job_id, request, ttl_s, wait_s, meta, origin), *words_of(beside)]
    judge(pipeline, records, queue, job_id, request, terms, ticket, finished_key)


def _records(
    queue: Queue,
    job_id: str,
    request: JobRequest,
    ttl_s: int,
    wait_s: float | None,
    meta: Mapping[str, Any] | None,
    origin: Origin,
) -> list[Any]:
    """RQ's records of the job: what it has to remember beside its request is for RQ to write."""
    if meta:
        records = queue.connection.pipeline()
        job = make_job(queue, job_id, request, ttl_s, wait_s, meta, origin)
        queue.enqueue_job(job, pipeline=records)
        return words_of(records)
    arguments = _arguments(request, job_id, wait_s, origin)
    own = own_words(job_id, _description(job_id), TASK, arguments, _created_at(job_id))
    return _mould(queue.name, ttl_s).cast(own)


@lru_cache(maxsize=64)
def _mould(queue_name: str, ttl_s: int) -> Mould:
    request = JobRequest(prompt="none", model="none", seed=0, width=8, height=8)
    queue = Queue(queue_name, connection=Redis(), serializer=JSONSerializer)
    queue.redis_server_version = LEAST_REDIS
    return Mould.of(queue, make_job(queue, identity.new_job_id(), request, ttl_s, None, None))


def make_job(
    queue: Queue,
    job_id: str,
    request: JobRequest,
    ttl_s: int,
    wait_s: float | None,
    meta: Mapping[str, Any] | None,
    origin: Origin = UNKNOWN,
) -> Job:
    """RQ's job, not yet in Redis."""
    job = queue.create_job(
        TASK,
        kwargs=_arguments(request, job_id, wait_s, origin),
        job_id=job_id,
        timeout=STOCK_TIMEOUT_S,
        result_ttl=ttl_s,
        failure_ttl=ttl_s,
        description=_description(job_id),
        retry=Retry(max=RESCUES),
        meta=dict(meta or {}),
    )
    job.created_at = _created_at(job_id) or job.created_at
    return job


def _arguments(
    request: JobRequest, job_id: str, wait_s: float | None, origin: Origin
) -> dict[str, Any]:
    """Of the task."""
    arguments: dict[str, Any] = {
        "request": request.model_dump(mode="json", exclude=request.untold),
        VERSION_ARGUMENT: request.version,
        **origin.arguments,
    }
    if wait_s is not None:
        arguments["deadline"] = (identity.created_at(job_id) or time.time()) + wait_s
    return arguments


def _created_at(job_id: str) -> datetime | None:
    """One time of acceptance, wherever it is read; None where the id does not tell it."""
    accepted = identity.created_at(job_id)
    return datetime.fromtimestamp(accepted, UTC) if accepted is not None else None


def _description(job_id: str) -> str:
    """Never the prompt: RQ logs descriptions."""
    return f"generate {job_id}"


def standing(queue: Queue, job_id: str) -> Standing | None:
    """Where the job stands in the queue; None where it is not waiting."""
    with queue.connection.pipeline(transaction=False) as pipeline:
        backlog.ask_standing(pipeline, job_id)
        (answer,) = pipeline.execute()
    return backlog.read_standing(answer)


def standings(queue: Queue, job_ids: Collection[str]) -> dict[str, Standing]:
    """Where those of the jobs stand that wait."""
    return backlog.standings(queue, job_ids)


def depth(queue: Queue) -> int:
    """Jobs that wait."""
    length: int = queue.connection.llen(queue.key)
    return length


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
        NewerContract: a newer release has written what this one does not understand.
        MalformedJob: the arguments are not of our making.
    """
    try:
        return JobRequest.model_validate(kwargs["request"])
    except (KeyError, TypeError, ValidationError) as error:
        if isinstance(kwargs, Mapping):
            require_known(kwargs)
        raise MalformedJob(f"The job's request is not valid: {error}") from error
