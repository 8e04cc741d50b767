"""POST /generate: a prompt comes in."""

import re
from typing import Annotated

from fastapi import APIRouter, Body, Header, Response
from fastapi.responses import JSONResponse

from app.admission import accept, admit
from app.problems import JobFailed
from app.responses import problems, success
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
from contract.job import JobRecord, JobState
from contract.request import GenerateRequest

router = APIRouter()

RESPONSES = (
    success(202, "Accepted; poll the `Location`.", QUEUED_EXAMPLE, "application/json")
    | {
        200: {
            "description": "Waited for, and done.",
            "model": JobView,
            "content": {
                "application/json": {"example": SUCCEEDED_EXAMPLE},
                PNG: {"schema": PICTURE_SCHEMA, "example": "(the bytes of a PNG)"},
            },
        }
    }
    | problems(
        errors.InvalidRequest,
        errors.UnknownModel,
        errors.UnsupportedSampler,
        errors.UnsupportedSteps,
        errors.UnsupportedSize,
        errors.BodyTooLarge,
        errors.RedisUnavailable,
        errors.QueueFull,
        errors.NoModel,
        errors.StoreUnavailable,
        errors.JobEnded,
        errors.SamplerRefused,
        errors.NotFinite,
        errors.OutOfMemory,
        errors.EngineFault,
        errors.WorkerLost,
    )
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
) -> Response:
    wants_picture = PNG in (accept_header or "").lower()
    if wants_picture and asked.images > 1:
        raise InvalidRequest(
            "A picture as the answer needs images to be 1; several are fetched by their links.",
            field="images",
        )
    census = await services.census.get()
    request = admit(asked, census, services.settings.default_model)
    record = await services.backend.call(accept, request, services.settings)
    services.metrics.accepted(request.model)
    wait_s = _wait_s(prefer, wants_picture, services.settings.max_wait_s)
    if wait_s is not None:
        record = await services.endings.wait(record, wait_s)
    headers = {"Location": job_url(record.id)}
    if wait_s is not None and prefer is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    if wants_picture and record.state.is_final:
        return await _picture(services, record, headers)
    return _job(record, headers)


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


def _job(record: JobRecord, headers: dict[str, str]) -> Response:
    if not record.state.is_final:
        headers["Retry-After"] = "1"
    return JSONResponse(
        JobView.of(record).model_dump(mode="json"),
        status_code=200 if record.state.is_final else 202,
        headers=headers,
    )
