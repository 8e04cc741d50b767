"""Turns what was asked into a job with nothing left open, or says why it cannot be done."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis
from rq import Queue

from app.census import Census
from app.settings import AppSettings
from contract import idempotency, identity, queue
from contract.backlog import Standing
from contract.errors import (
    InvalidRequest,
    JobExpired,
    NoModel,
    QueueFull,
    RedisUnavailable,
    TooMuchWaiting,
    UnknownModel,
)
from contract.idempotency import Ticket
from contract.job import JobRecord, JobState, read_job
from contract.request import GenerateRequest, JobRequest
from contract.resolution import resolve
from contract.workers import ModelCard

ATTEMPTS = 5
"""How often a job with a key is put into the queue where the answer is lost."""


def admit(asked: GenerateRequest, census: Census, settings: AppSettings) -> JobRequest:
    """The request with every default filled in, once it is clear that the model can do it.

    Raises:
        RequestError: names the field at fault, and what would do.
        NoModel: nobody has announced a model yet.
    """
    model = _model(asked.model, census, settings.default_model)
    return resolve(asked, model, metadata=settings.metadata)


def _model(asked: str | None, census: Census, preferred: str | None) -> ModelCard:
    if not census.models:
        raise NoModel("No worker has announced a model yet.", retry_after_s=5)
    known = list(census.models)
    if asked is not None:
        if asked not in census.models:
            raise UnknownModel(
                f"There is no such model; valid models are {', '.join(known)}.",
                field="model",
                allowed=known,
            )
        return census.models[asked]
    card = census.default_model(preferred)
    if card is None and preferred is not None:
        raise NoModel("No worker has announced the default model yet.", retry_after_s=5)
    if card is None:
        raise InvalidRequest(
            f"Several models are served, so name one of {', '.join(known)}.",
            field="model",
            allowed=known,
        )
    return card


@dataclass(frozen=True, slots=True)
class Accepted:
    record: JobRecord
    is_replay: bool  # the key of the request had made the job before


def recall(connection: Redis, ticket: Ticket) -> Accepted | None:
    """The job that the key has made; None where it has made none.

    Raises:
        IdempotencyKeyReused: something else was asked under it.
        JobExpired: the job is no longer kept.
    """
    job_id = idempotency.find(connection, ticket)
    if job_id is None:
        return None
    record = read_job(connection, job_id)
    if record is None:
        raise JobExpired(f"Job {job_id}, which this key has made, is no longer kept.")
    return Accepted(record, is_replay=True)


def accept(
    connection: Redis,
    request: JobRequest,
    settings: AppSettings,
    row_steps_per_s: float | None,
    ticket: Ticket | None,
) -> Accepted:
    """Puts a new job into its model's queue, unless the key has made one at the same moment.

    Args:
        row_steps_per_s: the speed of the model's workers, where it is known.

    Raises:
        QueueFull: as many jobs as are allowed wait already.
        TooMuchWaiting: they would take longer than is allowed.
        RedisUnavailable: it stays unknown whether the job was accepted; the key tells later.
    """
    waiting = queue.model_queue(connection, request.model)
    job_id = identity.new_job_id()
    for _ in range(ATTEMPTS):
        _require_room(waiting, request.model, settings, row_steps_per_s)
        standing = queue.enqueue(
            waiting,
            job_id,
            request,
            settings.result_ttl_s,
            wait_s=settings.queue_ttl_s,
            ticket=ticket,
        )
        if standing is not None:
            return Accepted(_fresh(job_id, request, standing), is_replay=False)
        known = recall(connection, ticket) if ticket is not None else None
        if known is not None:  # made by another call, or by this one, whose answer was lost
            return Accepted(known.record, is_replay=known.record.id != job_id)
    raise RedisUnavailable("The answers of Redis are lost again and again.")


def _require_room(
    waiting: Queue, model: str, settings: AppSettings, row_steps_per_s: float | None
) -> None:
    depth, work = queue.waiting(waiting)
    if depth >= settings.max_queue:
        raise QueueFull(
            f"{settings.max_queue} jobs wait for model {model} already.", retry_after_s=10
        )
    if settings.max_queue_s is None or work is None or not row_steps_per_s:
        return
    seconds = work / row_steps_per_s
    if seconds >= settings.max_queue_s:
        raise TooMuchWaiting(
            f"About {seconds:.0f} s of work wait for model {model}; at most "
            f"{settings.max_queue_s:g} s may.",
            retry_after_s=max(1, math.ceil(seconds - settings.max_queue_s)),
        )


def _fresh(job_id: str, request: JobRequest, standing: Standing) -> JobRecord:
    return JobRecord(
        id=job_id,
        state=JobState.QUEUED,
        request=request,
        created_at=datetime.fromtimestamp(identity.created_at(job_id) or 0.0, UTC),
        started_at=None,
        ended_at=None,
        progress=None,
        queue_position=standing.position,
        work_ahead=standing.work,
        result=None,
        error=None,
        worker=None,
    )
