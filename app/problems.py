"""Errors as RFC 9457 problem documents, each with a stable `code`."""

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.quotas import quota_headers
from contract import errors
from contract.errors import DarkroomError, RequestError, ServiceError

MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[str, HTTPStatus] = {
    errors.InvalidRequest.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BodyTooLarge.code: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnknownModel.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedSampler.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedSteps.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedSize.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyKeyReused.code: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RangeNotSatisfiable.code: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.NotAuthenticated.code: HTTPStatus.UNAUTHORIZED,
    errors.BeyondKey.code: HTTPStatus.FORBIDDEN,
    errors.CrossSite.code: HTTPStatus.FORBIDDEN,
    errors.HostRefused.code: HTTPStatus.MISDIRECTED_REQUEST,
    errors.LinkRefused.code: HTTPStatus.FORBIDDEN,
    errors.JobNotFound.code: HTTPStatus.NOT_FOUND,
    errors.JobExpired.code: HTTPStatus.GONE,
    errors.JobDeleted.code: HTTPStatus.GONE,
    errors.JobEnded.code: HTTPStatus.CONFLICT,
    errors.PictureNotReady.code: HTTPStatus.CONFLICT,
    errors.PictureNotFound.code: HTTPStatus.NOT_FOUND,
    errors.PictureExpired.code: HTTPStatus.GONE,
    errors.RedisUnavailable.code: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QueueFull.code: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TooMuchWaiting.code: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyQueued.code: HTTPStatus.TOO_MANY_REQUESTS,
    errors.RateLimited.code: HTTPStatus.TOO_MANY_REQUESTS,
    errors.StoreUnavailable.code: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NoModel.code: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.WaitInterrupted.code: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SamplerRefused.code: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.NotFinite.code: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.OutOfMemory.code: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.EngineFault.code: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.WorkerLost.code: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.DeadlineExceeded.code: HTTPStatus.GATEWAY_TIMEOUT,
    errors.NewerContract.code: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.MalformedJob.code: HTTPStatus.INTERNAL_SERVER_ERROR,
    DarkroomError.code: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""What each code is in HTTP. Errors that never leave a worker or a start-up are not here."""

CLIENT_GONE = 499  # a word of nginx's, for the metrics: nobody reads the answer
WHOLE_BODY = "body"  # in place of a field's name
MOST_FAULTS = 20
MOST_NAME = 100  # characters of a field's name that are repeated
"""A body of 64 KB can hold thousands of wrong fields; the answer to it stays small."""

logger = logging.getLogger(__name__)


class FieldFault(BaseModel):
    field: str
    message: str


class Problem(BaseModel):
    """RFC 9457, with a code that programs can rely on."""

    type: Annotated[str, Field(description="A name for the code; about:blank is plain HTTP.")]
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="Stable; texts may change.")]
    field: Annotated[str | None, Field(description="The field at fault, or the first one.")] = None
    errors: Annotated[list[FieldFault] | None, Field(description="All fields at fault.")] = None
    allowed: Annotated[list[str] | None, Field(description="Values that would do.")] = None


Envelope = Callable[[Problem, Mapping[str, str] | None], JSONResponse]
NO_ENVELOPES: Mapping[str, Envelope] = MappingProxyType({})


def type_of(code: str) -> str:
    return f"urn:darkroom:problem:{code}"


INTERNAL = Problem(
    type=type_of(DarkroomError.code),
    title=DarkroomError.title,
    status=HTTPStatus.INTERNAL_SERVER_ERROR,
    detail="Something went wrong here; the log of the service has more.",
    code=DarkroomError.code,
)


class JobFailed(Exception):
    """The job that a caller waited for ended with an error; `headers` say which job that was."""

    def __init__(self, code: str, title: str, detail: str, headers: Mapping[str, str]):
        super().__init__(detail)
        self.headers = headers
        self.problem = Problem(
            type=type_of(code),
            title=title,
            status=STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR),
            detail=detail,
            code=code,
        )


def problem_of(error: DarkroomError) -> Problem:
    field = error.field if isinstance(error, RequestError) else None
    return Problem(
        type=type_of(error.code),
        title=error.title,
        status=STATUS[error.code],
        detail=str(error),
        code=error.code,
        field=field,
        errors=[FieldFault(field=field, message=str(error))] if field else None,
        allowed=error.allowed if isinstance(error, RequestError) else None,
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=problem.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def handle_problems(app: FastAPI, envelopes: Mapping[str, Envelope] = NO_ENVELOPES) -> None:
    """Makes every error of the app a problem document, and notes its code for the metrics.

    Args:
        envelopes: how a problem is written instead, by how the path begins.
    """
    app.state.envelopes = envelopes
    app.add_exception_handler(DarkroomError, _on_darkroom_error)
    app.add_exception_handler(JobFailed, _on_job_failed)
    app.add_exception_handler(ClientDisconnect, _on_client_gone)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_exception)


def _noted(request: Request, problem: Problem, headers: Mapping[str, str] | None) -> JSONResponse:
    request.app.state.metrics.failed(problem.code)
    envelopes: Mapping[str, Envelope] = request.app.state.envelopes
    path = request.scope["path"]
    write = next((envelopes[start] for start in envelopes if path.startswith(start)), answer)
    return write(problem, headers)


async def _on_darkroom_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DarkroomError)
    if error.code not in STATUS:
        return await _on_exception(request, error)
    return _noted(request, problem_of(error), _advice(error))


def _advice(error: DarkroomError) -> dict[str, str] | None:
    if isinstance(error, ServiceError):
        left = quota_headers(error.quotas) if isinstance(error, errors.OverQuota) else {}
        return {"Retry-After": str(error.retry_after_s)} | left
    if isinstance(error, errors.NotAuthenticated):
        # Basic is understood too, but to say so would make a browser ask for a password.
        return {"WWW-Authenticate": 'Bearer realm="darkroom"'}
    if isinstance(error, errors.PictureNotReady):
        return {"Retry-After": "1"}
    if isinstance(error, errors.RangeNotSatisfiable):
        return {"Content-Range": f"bytes */{error.size}"}
    if isinstance(error, errors.BodyTooLarge):
        return {"Connection": "close"}  # the rest of the body is never read
    return None


async def _on_job_failed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, JobFailed)
    return _noted(request, error.problem, error.headers)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    faults = [_field_fault(fault) for fault in found[:MOST_FAULTS]]
    lists = (fault.get("ctx", {}).get("allowed") for fault in found)
    allowed = next((names.split(", ") for names in lists if names), None)
    return _noted(request, _invalid(faults, allowed), None)


def _invalid(faults: Sequence[FieldFault], allowed: list[str] | None = None) -> Problem:
    kind = errors.InvalidRequest
    return Problem(
        type=type_of(kind.code),
        title=kind.title,
        status=STATUS[kind.code],
        detail="; ".join(f"{fault.field}: {fault.message}" for fault in faults),
        code=kind.code,
        field=faults[0].field,
        errors=list(faults),
        allowed=allowed,
    )


def _field_fault(fault: Mapping[str, Any]) -> FieldFault:
    """Never repeats the input, which may not even be valid JSON."""
    if fault["type"] == "json_invalid":
        return FieldFault(field=WHOLE_BODY, message=f"not valid JSON: {fault['ctx']['error']}")
    named = fault.get("ctx", {}).get("field")
    path = ".".join(printable(part) for part in fault["loc"][1:])
    if not path and not named and fault["type"] == "model_attributes_type":
        return FieldFault(
            field=WHOLE_BODY, message="must be a JSON object, sent as application/json"
        )
    return FieldFault(field=named or path or WHOLE_BODY, message=fault["msg"])


def printable(part: object) -> str:
    """A name as it came, but for its length and lone surrogates, which no JSON can carry."""
    return str(part)[:MOST_NAME].encode("utf-8", "replace").decode()


async def _on_client_gone(request: Request, error: Exception) -> Response:
    """It hung up while its body was read."""
    return Response(status_code=CLIENT_GONE)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, DarkroomError):  # met by FastAPI while it read the body
        return await _on_darkroom_error(request, error.__cause__)
    if isinstance(error.__cause__, ClientDisconnect):
        return await _on_client_gone(request, error.__cause__)
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that Python cannot parse
        fault = FieldFault(field=WHOLE_BODY, message="cannot be read as JSON")
        return _noted(request, _invalid([fault]), None)
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    problem = Problem(
        type="about:blank",
        title=status.phrase,
        status=status,
        detail=str(error.detail),
        code=code,
    )
    return _noted(request, problem, error.headers)


async def _on_exception(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return _noted(request, INTERNAL, None)
