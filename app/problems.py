"""Errors as RFC 9457 problem documents. The one table from an error's code to an HTTP status."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from contract.errors import DarkroomError, InvalidRequest, RequestError, ServiceError
from contract.job import JobFault

MEDIA_TYPE = "application/problem+json"
CODE_KEY = "darkroom.problem"  # where the scope of a request keeps its problem's code
MOST_ERRORS = 20  # faults listed of one request
MOST_NAME = 100  # characters of a field's name that are repeated
BODY = "body"  # the field that is named where the whole body is at fault

STATUS: Mapping[str, int] = MappingProxyType(
    {
        "invalid_request": 422,
        "body_too_large": 413,
        "unknown_model": 422,
        "unsupported_sampler": 422,
        "unsupported_steps": 422,
        "unsupported_size": 422,
        "job_not_found": 404,
        "job_expired": 410,
        "job_ended": 409,
        "picture_not_ready": 409,
        "picture_not_found": 404,
        "picture_expired": 410,
        "redis_unavailable": 503,
        "queue_full": 503,
        "no_model": 503,
        "sampler_refused": 500,
        "not_finite": 500,
        "out_of_memory": 500,
        "engine_fault": 500,
        "malformed_job": 500,
        "internal_error": 500,
    }
)

logger = logging.getLogger(__name__)


class FieldFault(BaseModel):
    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """What every error of this API looks like (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="Stable; titles and details may change.")]
    field: Annotated[str | None, Field(description="The first field at fault.")] = None
    errors: Annotated[list[FieldFault] | None, Field(description="All fields at fault.")] = None
    allowed: Annotated[list[str] | None, Field(description="Values that would do.")] = None

    @classmethod
    def of(cls, error: DarkroomError) -> Self:
        if isinstance(error, RequestError) and error.field is not None:
            faults = [FieldFault(field=error.field, message=str(error))]
            return cls.make(error.code, error.title, str(error), faults, error.allowed)
        return cls.make(error.code, error.title, str(error))

    @classmethod
    def of_fault(cls, fault: JobFault) -> Self:
        """The way a job failed, told as this request's own failure."""
        return cls.make(fault.code, fault.title, fault.detail)

    @classmethod
    def of_status(cls, status: int, detail: str) -> Self:
        """A problem of HTTP itself, whose code is the status's own phrase."""
        phrase = HTTPStatus(status).phrase
        return cls.make(phrase.lower().replace(" ", "_"), phrase, detail, status=status)

    @classmethod
    def make(
        cls,
        code: str,
        title: str,
        detail: str,
        faults: list[FieldFault] | None = None,
        allowed: list[str] | None = None,
        status: int | None = None,
    ) -> Self:
        return cls(
            type=f"urn:darkroom:problem:{code}",
            title=title,
            status=STATUS.get(code, 500) if status is None else status,
            detail=detail,
            code=code,
            field=faults[0].field if faults else None,
            errors=faults,
            allowed=allowed,
        )


def problem_response(
    scope: Scope, problem: Problem, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The problem as an answer; its code is left in the scope for the metrics."""
    scope[CODE_KEY] = problem.code
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=problem.status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def error_response(scope: Scope, error: DarkroomError) -> JSONResponse:
    headers = {}
    if isinstance(error, ServiceError):
        headers["Retry-After"] = str(error.retry_after_s)
    return problem_response(scope, Problem.of(error), headers)


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""
    app.add_exception_handler(DarkroomError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _known(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DarkroomError)
    return error_response(request.scope, error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem_response(request.scope, _invalid_request(error.errors()))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for bytes that are no text
        refused = InvalidRequest("The body cannot be read as JSON.", field=BODY)
        return error_response(request.scope, refused)
    problem = Problem.of_status(error.status_code, str(error.detail))
    return problem_response(request.scope, problem, error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """The traceback goes to the log, by way of the server, and never to the caller."""
    unexpected = DarkroomError("Something went wrong here; the server's log has more.")
    return error_response(request.scope, unexpected)


def _invalid_request(raw: Iterable[Mapping[str, Any]]) -> Problem:
    listed = list(raw)
    faults = [
        FieldFault(field=_field(fault), message=_printable(_message(fault)))
        for fault in listed[:MOST_ERRORS]
    ]
    more = f" ({len(listed) - 1} more)" if len(listed) > 1 else ""
    detail = f"{faults[0].field}: {faults[0].message}{more}"
    allowed = listed[0].get("ctx", {}).get("allowed")
    return Problem.make(
        InvalidRequest.code,
        InvalidRequest.title,
        detail,
        faults,
        allowed.split(", ") if isinstance(allowed, str) else None,
    )


def _field(fault: Mapping[str, Any]) -> str:
    """The name of the field at fault, without its place (body, path, ...)."""
    if fault["type"] == "json_invalid":
        return BODY
    named = fault.get("ctx", {}).get("field")
    if named is not None:
        return str(named)
    inner = ".".join(str(part) for part in fault["loc"][1:])
    return _printable(inner)[:MOST_NAME] or BODY


def _message(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "json_invalid":
        return f"JSON decode error: {fault.get('ctx', {}).get('error', fault['msg'])}"
    return str(fault["msg"])


def _printable(text: str) -> str:
    """Lone surrogates are no text that a client could be expected to read."""
    return text.encode("utf-8", "replace").decode()
