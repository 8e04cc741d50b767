"""The queue of a model: RQ's own list and records, so that RQ's tools show the truth."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import ValidationError
from redis import Redis
from rq import Queue, Retry
from rq.serializers import JSONSerializer

from contract import identity
from contract.errors import MalformedJob
from contract.request import JobRequest

TASK = "worker.tasks.generate"
"""By name, so that the HTTP side never imports it."""

STOCK_TIMEOUT_S = 3600
"""How long a stock `rq worker` lets one job run."""

RESCUES = 1000
"""How often RQ's own sweep may put an orphan back: a net below ours, never the reason to fail."""


def model_queue(connection: Redis, model: str) -> Queue:
    return Queue(f"darkroom-{model}", connection=connection, serializer=JSONSerializer)


def enqueue(queue: Queue, job_id: str, request: JobRequest, ttl_s: int) -> int:
    """Accepts a job in one transaction.

    Args:
        ttl_s: how long the job's record is kept once it has ended.

    Returns:
        The job's place in the queue; 1 is next.
    """
    job = queue.create_job(
        TASK,
        kwargs={"request": request.model_dump(mode="json")},
        job_id=job_id,
        timeout=STOCK_TIMEOUT_S,
        result_ttl=ttl_s,
        failure_ttl=ttl_s,
        description=f"generate {job_id}",  # never the prompt: RQ logs descriptions
        retry=Retry(max=RESCUES),
    )
    accepted = identity.created_at(job_id)
    if accepted is not None:  # one time of acceptance, wherever it is read
        job.created_at = datetime.fromtimestamp(accepted, UTC)
    with queue.connection.pipeline() as pipeline:
        queue.enqueue_job(job, pipeline=pipeline)
        length: int = pipeline.execute()[-1]
    return length


def position(queue: Queue, job_id: str) -> int | None:
    """The job's place in the queue, 1 is next; None where it is not waiting."""
    index = cast("int | None", queue.connection.lpos(queue.key, job_id))
    return None if index is None else index + 1


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


def job_request(kwargs: Mapping[str, Any]) -> JobRequest:
    """The request in an RQ job's arguments.

    Raises:
        MalformedJob: the arguments are not of our making.
    """
    try:
        return JobRequest.model_validate(kwargs["request"])
    except (KeyError, TypeError, ValidationError) as error:
        raise MalformedJob(f"The job's request is not valid: {error}") from error
