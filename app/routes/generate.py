"""POST /generate: a prompt comes in."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.openapi.models import Example

from app.accept import media_ranges, preferred
from app.access import Caller, caller_of
from app.admission import Accepted, accept, admit, recall, terms_for
from app.callbacks import require_callable
from app.estimates import job_view, poll_again_s
from app.keys import read_key
from app.problems import JobFailed
from app.quick_route import QuickRoute
from app.quotas import quota_headers
from app.responses import Responses, headers_asked, problems
from app.reuse import finished_key, reused
from app.routes.pictures import picture_response
from app.services import Services, services_of
from app.under_way import note_job
from app.views import (
    PICTURE_CONTENT,
    QUEUED_EXAMPLE,
    REQUEST_EXAMPLE,
    SUCCEEDED_EXAMPLE,
    JobView,
    job_url,
)
from contract import errors
from contract.acceptance import Answerable, Terms
from contract.errors import InvalidRequest, JobEnded, NoModel, RequestError
from contract.idempotency import Ticket
from contract.job import JobRecord, JobState
from contract.request import MEDIA_TYPES, Format, GenerateRequest, JobRequest

router = APIRouter(route_class=QuickRoute)

REPLAYED = "Idempotency-Replayed"
HEADERS = {
    "Location": {"description": "The job.", "schema": {"type": "string"}},
    REPLAYED: {
        "description": "`true` where the job was made by an earlier request of the same key.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "The limits of the caller's key, where it has some.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of them.",
        "schema": {"type": "string"},
    },
}
ANSWERS: Responses = {
    202: {
        "description": "Accepted; poll the `Location`.",
        "content": {"application/json": {"example": QUEUED_EXAMPLE}},
        "headers": HEADERS,
    },
    200: {
        "description": "Waited for, or answered from an equal job, and done.",
        "headers": HEADERS,
        "model": JobView,
        "content": {
            "application/json": {"example": SUCCEEDED_EXAMPLE},
            **PICTURE_CONTENT,
        },
    },
}
REQUEST_EXAMPLES: dict[str, Example] = {
    "plain": {"value": REQUEST_EXAMPLE},
    "guidance_interval": {
        "summary": "A fifth faster, and another picture",
        "value": REQUEST_EXAMPLE | {"guidance_stop": 0.6},
    },
}
PROBLEMS = (
    errors.InvalidRequest,
    errors.UnknownModel,
    errors.UnsupportedSampler,
    errors.UnsupportedSteps,
    errors.UnsupportedSize,
    errors.IdempotencyKeyReused,
    errors.BeyondKey,
    errors.JobExpired,
    errors.BodyTooLarge,
    errors.RedisUnavailable,
    errors.QueueFull,
    errors.TooMuchWaiting,
    errors.TooManyQueued,
    errors.RateLimited,
    errors.NoModel,
    errors.StoreUnavailable,
    errors.JobEnded,
    errors.SamplerRefused,
    errors.NotFinite,
    errors.OutOfMemory,
    errors.EngineFault,
    errors.WorkerLost,
    errors.DeadlineExceeded,
    errors.NewerContract,
    errors.MalformedJob,
)
MANNER = headers_asked(
    ("prefer", "`wait=N` waits up to N seconds for the end.", "wait=20"),
    (
        "accept",
        "`image/png`, `image/jpeg` or `image/webp` makes the picture itself the answer, in that "
        "format where the request names none.",
        "image/png",
    ),
    (
        "idempotency-key",
        "1 to 255 printable characters of your own, bare or quoted. To send a request again with "
        "its key gets the job that it made, for 24 hours.",
        "8e03978e-40d5-43dd-bc93-6894a57f9324",
    ),
    ("cache-control", "`no-cache`: not from what is finished, although the seed is the same.", ""),
)
JOB_TYPE = "application/json"
FORMATS = {media_type: format_ for format_, media_type in MEDIA_TYPES.items()}
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d+)\"?(?:$|[,;\s])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Manner:
    """How the caller wants to be answered, by the headers that MANNER describes."""

    prefer: list[str]
    accept: str | None
    idempotency_key: list[str]
    cache_control: str | None

    @property
    def wants_fresh(self) -> bool:
        directives = (self.cache_control or "").lower().split(",")
        return not {"no-cache", "no-store"}.isdisjoint(each.strip() for each in directives)


def manner_of(request: Request) -> Manner:
    headers = request.headers
    return Manner(
        prefer=headers.getlist("Prefer"),
        accept=headers.get("Accept"),
        idempotency_key=headers.getlist("Idempotency-Key"),
        cache_control=headers.get("Cache-Control"),
    )


@router.post(
    "/generate",
    status_code=202,
    response_model=JobView,
    responses=ANSWERS | problems(*PROBLEMS),
    openapi_extra=MANNER,
    summary="Make pictures from a prompt",
)
async def generate(
    asked: Annotated[GenerateRequest, Body(openapi_examples=REQUEST_EXAMPLES)],
    request: Request,
) -> Response:
    return await submit(services_of(request), caller_of(request), asked, manner_of(request))


async def submit(
    services: Services, caller: Caller, asked: GenerateRequest, manner: Manner
) -> Response:
    """Makes a job, and answers in the manner that the caller wants."""
    format_ = wanted_format(manner.accept, asked)
    wants_picture = format_ is not None
    if format_ is not None:
        asked = asked.model_copy(update={"format": format_})
    if wants_picture and asked.images > 1:
        raise InvalidRequest(
            "A picture as the answer needs images to be 1; several are fetched by their links.",
            field="images",
        )
    keys, prefer = manner.idempotency_key, manner.prefer
    ticket = Ticket.of(read_key(keys), asked, caller.owner) if keys else None
    accepted = await make_job(services, caller, asked, ticket, is_fresh=manner.wants_fresh)
    record = accepted.record
    note_job(record.id)
    wait_s = _wait_s(prefer, wants_picture, services.settings.max_wait_s)
    if wait_s is not None and not record.state.is_final:
        record = await services.endings.wait(record, wait_s)
    headers = {"Location": job_url(record.id)} | quota_headers(accepted.quotas)
    if accepted.is_replay:
        headers[REPLAYED] = "true"
    if wait_s is not None and prefer:
        headers["Preference-Applied"] = f"wait={wait_s}"
    if wants_picture and record.state.is_final:
        return await _picture(services, record, headers)
    return await _job(services, record, headers)


async def make_job(
    services: Services,
    caller: Caller,
    asked: GenerateRequest,
    ticket: Ticket | None,
    *,
    is_fresh: bool,
) -> Accepted:
    """What the key has made before holds, whatever has become of the model and the queue since.
    Then what is finished, unless the caller wants it fresh or another picture each time."""
    try:
        request, terms, fingerprint = await _admitted(services, caller, asked)
    except (RequestError, NoModel):
        recalled = await recall(services.backend, ticket) if ticket is not None else None
        if recalled is None:
            raise
        return recalled
    known = ""
    if asked.seed is not None and not is_fresh:
        known = finished_key(services, request, fingerprint, terms.owner)
    put = partial(
        accept,
        services.backend,
        asked,
        request,
        services.settings,
        terms,
        ticket,
        caller.origin,
    )
    accepted = await put(known)
    if isinstance(accepted, Answerable):
        answered = await reused(services, asked, request, accepted.content, terms, ticket)
        if answered is not None:
            services.metrics.reused(request.model)
            return Accepted(answered.record, is_replay=False, quotas=answered.quotas)
        accepted = await put("")
    assert isinstance(accepted, Accepted)
    if not accepted.is_replay:
        services.metrics.accepted(request.model)
    return accepted


async def _admitted(
    services: Services, caller: Caller, asked: GenerateRequest
) -> tuple[JobRequest, Terms, str]:
    """What is to be done, on which terms, and the fingerprint of the model that does it."""
    require_callable(asked, services.settings)
    census = await services.census.get()
    request = admit(asked, census, services.settings, caller.limits)
    terms = terms_for(caller, services.settings, census, request.model)
    return request, terms, census.models[request.model].fingerprint


def wanted_format(accept_header: str | None, asked: GenerateRequest) -> Format | None:
    """The format in which the picture itself is to be the answer; None where the job is.

    Raises:
        InvalidRequest: the client takes pictures, but not in the format that the request names.
    """
    named = "format" in asked.model_fields_set
    formats = {MEDIA_TYPES[asked.format]: asked.format} if named else FORMATS
    chosen = preferred(accept_header, [JOB_TYPE, *formats])
    if chosen is None and any(each.type == "image" for each in media_ranges(accept_header or "")):
        raise InvalidRequest(
            f"The header Accept takes no {' or '.join(formats)}.",
            field="format" if named else "Accept",
            allowed=list(formats),
        )
    return formats.get(chosen or JOB_TYPE)


def _wait_s(prefer: list[str], wants_picture: bool, most: int) -> int | None:
    """How long to wait, in seconds; None where nobody asked for it."""
    named = WAIT.search(", ".join(prefer))
    if named is not None:
        return int(min(float(named[1]), most))  # which may be of any length, other than for int()
    return most if wants_picture else None


async def _picture(services: Services, record: JobRecord, headers: dict[str, str]) -> Response:
    if record.error is not None:
        fault = record.error
        raise JobFailed(fault.code, fault.title, fault.detail, headers)
    if record.state is not JobState.SUCCEEDED:
        raise JobEnded(f"Job {record.id} has ended already: {record.state}.")
    return await picture_response(services, record, 0, headers)


async def _job(services: Services, record: JobRecord, headers: dict[str, str]) -> Response:
    job = await job_view(services, record)
    if not job.state.is_final:
        headers["Retry-After"] = str(poll_again_s(job))
    status = 200 if record.state.is_final else 202
    return Response(job.model_dump_json(), status, headers, JOB_TYPE)
