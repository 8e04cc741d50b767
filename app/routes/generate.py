"""POST /generate: a prompt comes in."""

import re
from typing import Annotated

from fastapi import APIRouter, Body, Header, Response
from fastapi.responses import JSONResponse

from app.admission import Accepted, accept, admit, recall
from app.estimates import job_view, poll_again_s
from app.keys import read_key
from app.problems import JobFailed
from app.responses import Responses, problems
from app.routes.pictures import picture_response
from app.services import Served, Services
from app.views import (
    PICTURE_SCHEMA,
    PNG,
    QUEUED_EXAMPLE,
    REQUEST_EXAMPLE,
    SUCCEEDED_EXAMPLE,
    JobView,
    job_url,
)
from contract import errors
from contract.errors import InvalidRequest, JobEnded
from contract.idempotency import Ticket
from contract.job import JobRecord, JobState
from contract.request import GenerateRequest

router = APIRouter()

REPLAYED = "Idempotency-Replayed"
HEADERS = {
    "Location": {"description": "The job.", "schema": {"type": "string"}},
    REPLAYED: {
        "description": "`true` where the job was made by an earlier request of the same key.",
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
        "description": "Waited for, and done.",
        "headers": HEADERS,
        "model": JobView,
        "content": {
            "application/json": {"example": SUCCEEDED_EXAMPLE},
            PNG: {"schema": PICTURE_SCHEMA, "example": "(the bytes of a PNG)"},
        },
    },
}
RESPONSES = ANSWERS | problems(
    errors.InvalidRequest,
    errors.UnknownModel,
    errors.UnsupportedSampler,
    errors.UnsupportedSteps,
    errors.UnsupportedSize,
    errors.IdempotencyKeyReused,
    errors.JobExpired,
    errors.BodyTooLarge,
    errors.RedisUnavailable,
    errors.QueueFull,
    errors.TooMuchWaiting,
    errors.NoModel,
    errors.StoreUnavailable,
    errors.JobEnded,
    errors.SamplerRefused,
    errors.NotFinite,
    errors.OutOfMemory,
    errors.EngineFault,
    errors.WorkerLost,
    errors.DeadlineExceeded,
    errors.MalformedJob,
)
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?:$|[,;\s])", re.IGNORECASE)


@router.post(
    "/generate",
    status_code=202,
    response_model=JobView,
    responses=RESPONSES,
    summary="Make pictures from a prompt",
)
async def generate(
    asked: Annotated[GenerateRequest, Body(openapi_examples={"plain": {"value": REQUEST_EXAMPLE}})],
    services: Served,
    prefer: Annotated[
        list[str] | None, Header(description="`wait=N` waits up to N seconds for the end.")
    ] = None,
    accept_header: Annotated[
        str | None,
        Header(alias="Accept", description="`image/png` makes the picture itself the answer."),
    ] = None,
    idempotency_key: Annotated[
        list[str] | None,
        Header(
            description="1 to 255 printable characters of your own, bare or quoted. To send a "
            "request again with its key gets the job that it made, for 24 hours.",
            openapi_examples={"uuid": {"value": ["8e03978e-40d5-43dd-bc93-6894a57f9324"]}},
        ),
    ] = None,
) -> Response:
    wants_picture = PNG in (accept_header or "").lower()
    if wants_picture and asked.images > 1:
        raise InvalidRequest(
            "A picture as the answer needs images to be 1; several are fetched by their links.",
            field="images",
        )
    ticket = Ticket.of(read_key(idempotency_key), asked) if idempotency_key is not None else None
    accepted = await _accept(services, asked, ticket)
    record = accepted.record
    wait_s = _wait_s(prefer, wants_picture, services.settings.max_wait_s)
    if wait_s is not None:
        record = await services.endings.wait(record, wait_s)
    headers = {"Location": job_url(record.id)}
    if accepted.is_replay:
        headers[REPLAYED] = "true"
    if wait_s is not None and prefer is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    if wants_picture and record.state.is_final:
        return await _picture(services, record, headers)
    return await _job(services, record, headers)


async def _accept(services: Services, asked: GenerateRequest, ticket: Ticket | None) -> Accepted:
    """What the key has made before holds, whatever has become of the model and the queue since."""
    recalled = await services.backend.call(recall, ticket) if ticket is not None else None
    if recalled is not None:
        return recalled
    census = await services.census.get()
    request = admit(asked, census, services.settings.default_model)
    speed = census.row_steps_per_s(request.model)
    accepted = await services.backend.call(accept, request, services.settings, speed, ticket)
    if not accepted.is_replay:
        services.metrics.accepted(request.model)
    return accepted


def _wait_s(prefer: list[str] | None, wants_picture: bool, most: int) -> int | None:
    """How long to wait, in seconds; None where nobody asked for it."""
    named = WAIT.search(", ".join(prefer or []))
    if named is not None:
        return min(int(named[1]), most)
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
    return JSONResponse(
        job.model_dump(mode="json"),
        status_code=200 if record.state.is_final else 202,
        headers=headers,
    )
