"""Turns what was asked into a job with nothing left open, or says why it cannot be done."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import redis
from redis.client import Pipeline

from app.access import Caller
from app.backend import Backend
from app.census import Census
from app.settings import AppSettings
from contract import idempotency, identity, queue
from contract.acceptance import Answerable, Entry, Terms, Verdict, read_verdict
from contract.backlog import Standing
from contract.errors import (
    BeyondKey,
    InvalidRequest,
    JobExpired,
    NoModel,
    RedisUnavailable,
    UnknownModel,
)
from contract.idempotency import Ticket
from contract.job import JobRecord, JobState
from contract.keys import KeyLimits
from contract.origin import Origin
from contract.quotas import NO_QUOTAS, Quotas
from contract.request import PRIORITIES, GenerateRequest, JobRequest
from contract.resolution import resolve
from contract.webhooks import aside
from contract.workers import ModelCard

LOST = (redis.ConnectionError, redis.TimeoutError)
ATTEMPTS = 5
"""How often a job with a key is put into the queue where the answer is lost."""


def admit(
    asked: GenerateRequest, census: Census, settings: AppSettings, limits: KeyLimits
) -> JobRequest:
    """The request with every default filled in, as far as the caller's key may have it, once it is
    clear that the model can do it and the key may ask for it.

    Raises:
        RequestError: names the field at fault, and what would do.
        NoModel: nobody has announced a model yet.
    """
    model = model_card(asked.model, census, settings.default_model)
    request = resolve(asked, model, metadata=settings.metadata, limits=limits)
    _require_within(limits, request)
    return request


def model_card(asked: str | None, census: Census, preferred: str | None) -> ModelCard:
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
    quotas: Quotas = NO_QUOTAS  # what the caller's API key has left, if a job was made


async def recall(backend: Backend, ticket: Ticket) -> Accepted | None:
    """The job that the key has made; None where it has made none.

    Raises:
        IdempotencyKeyReused: something else was asked under it.
        JobExpired: the job is no longer kept.
    """
    job_id = await backend.call(idempotency.find, ticket)
    if job_id is None:
        return None
    record = await backend.read_job(job_id)
    if record is None:
        raise JobExpired(f"Job {job_id}, which this key has made, is no longer kept.")
    return Accepted(record, is_replay=True)


def _require_within(limits: KeyLimits, request: JobRequest) -> None:
    """
    Raises:
        BeyondKey: names the field with which the request asks for more than its key may.
    """
    for field, most in (
        ("width", limits.max_side),
        ("height", limits.max_side),
        ("steps", limits.max_steps),
    ):
        if most is not None and getattr(request, field) > most:
            raise BeyondKey(f"{field} may be at most {most} with this key.", field=field)
    allowed = PRIORITIES[PRIORITIES.index(limits.priority) :]
    if request.priority not in allowed:
        raise BeyondKey(
            f"The highest priority of this key is {limits.priority}.",
            field="priority",
            allowed=list(allowed),
        )


def terms_for(caller: Caller, settings: AppSettings, census: Census, model: str) -> Terms:
    return Terms(
        owner=caller.owner,
        weight=caller.limits.weight,
        queued=caller.limits.queued,
        per_minute=caller.limits.per_minute,
        most_waiting=settings.max_queue,
        most_waiting_s=settings.max_queue_s,
        row_steps_per_s=census.row_steps_per_s(model),
        native=census.models[model].native,
    )


async def accept(
    backend: Backend,
    asked: GenerateRequest,
    request: JobRequest,
    settings: AppSettings,
    terms: Terms,
    ticket: Ticket | None,
    origin: Origin,
    finished_key: str,
) -> Accepted | Answerable:
    """Puts a new job into its model's queue, unless the key has made one already, or an equal one
    has finished. One round trip, where a job is made.

    Args:
        request: what `admit` made of what was asked.
        origin: the request, as a worker will know it.
        finished_key: where an equal job stands that would do, by `finished.key_of`.

    Raises:
        QueueFull: as many jobs as are allowed wait already.
        TooMuchWaiting: they would take longer than is allowed.
        TooManyQueued, RateLimited: the caller's key has used up what it may.
        RedisUnavailable: it stays unknown whether the job was accepted; the key tells later.
    """
    waiting = backend.queue(request.model)
    tried = set()
    for _ in range(ATTEMPTS):
        job_id = identity.new_job_id()
        tried.add(job_id)
        fill = partial(
            queue.ask_to_enqueue,
            queue=waiting,
            job_id=job_id,
            request=request,
            ttl_s=settings.result_ttl_s,
            wait_s=settings.queue_ttl_s,
            ticket=ticket,
            terms=terms,
            meta=aside(asked),
            finished_key=finished_key,
            origin=origin,
        )
        verdict = await _verdict(backend, fill, terms, ticket)
        if isinstance(verdict, Answerable):
            return verdict
        if isinstance(verdict, Entry):
            record = _fresh(job_id, asked, request, verdict.standing, terms.owner)
            return Accepted(record, is_replay=False, quotas=verdict.quotas)
        known = await recall(backend, ticket) if ticket is not None else None
        if known is not None:  # made by another call, or by this one, whose answer was lost
            return Accepted(known.record, is_replay=known.record.id not in tried)
    raise RedisUnavailable("The answers of Redis are lost again and again.")


async def _verdict(
    backend: Backend, fill: Callable[[Pipeline], None], terms: Terms, ticket: Ticket | None
) -> Verdict:
    """None also where the answer was lost, and the ticket tells whether the job was made."""
    try:
        (answer,) = await backend.ask(fill)
    except RedisUnavailable as error:
        if ticket is None or not isinstance(error.__cause__, LOST):
            raise
        return None
    return read_verdict(answer, terms)


def _fresh(
    job_id: str, asked: GenerateRequest, request: JobRequest, standing: Standing, owner: str
) -> JobRecord:
    return JobRecord(
        id=job_id,
        state=JobState.QUEUED,
        request=request,
        created_at=datetime.fromtimestamp(identity.created_at(job_id) or 0.0, UTC),
        started_at=None,
        ended_at=None,
        progress=None,
        standing=standing,
        result=None,
        error=None,
        worker=None,
        owner=owner,
        tags=asked.tags,
        subscription=asked.subscription,
    )
