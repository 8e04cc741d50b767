"""Errors as OpenAI's SDK reads them."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from app.problems import STATUS, WHOLE_BODY, Problem
from app.responses import EXAMPLES, FIELDS, Responses
from contract import errors
from contract.errors import DarkroomError, GenerationError

PREFIX = "/v1/"
REQUEST_ID = "x-request-id"
MOST_RETRY_S = 120
"""The SDK gives up at once where it should wait longer."""

logger = logging.getLogger(__name__)

CODES: Mapping[str, str] = {
    errors.UnknownModel.code: "model_not_found",
    errors.NotAuthenticated.code: "invalid_api_key",
    errors.RateLimited.code: "rate_limit_exceeded",
}
"""Codes that clients know under another name; all others are ours."""

TYPES: Mapping[int, str] = {401: "authentication_error", 429: "rate_limit_error"}

NOT_AGAIN = {errors.JobEnded.code, *(kind.code for kind in GenerationError.leaves())}
"""What the same request would only meet again; by its status alone the SDK would send it twice
more."""


class Fault(BaseModel):
    model_config = ConfigDict(frozen=True)

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    model_config = ConfigDict(frozen=True)

    error: Fault

    @classmethod
    def of(cls, problem: Problem) -> "ErrorReply":
        status = status_of(problem.code, problem.status)
        by_status = "server_error" if status >= 500 else "invalid_request_error"
        fault = Fault(
            message=problem.detail,
            type=TYPES.get(status, by_status),
            param=problem.field if problem.field != WHOLE_BODY else None,
            code=CODES.get(problem.code, problem.code),
        )
        return cls(error=fault)


def status_of(code: str, status: int) -> int:
    """There a request that cannot be done is always 400, but for a model that there is not."""
    if code == errors.UnknownModel.code:
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status


def error_response(problem: Problem, headers: Mapping[str, str] | None) -> JSONResponse:
    sent = {REQUEST_ID: uuid4().hex, **(headers or {})}
    if "Retry-After" in sent:
        sent["Retry-After"] = str(min(int(sent["Retry-After"]), MOST_RETRY_S))
    if problem.code in NOT_AGAIN:
        sent["x-should-retry"] = "false"
    status = status_of(problem.code, problem.status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("request %s: %s", sent[REQUEST_ID], problem.code)
    return JSONResponse(ErrorReply.of(problem).model_dump(), status, sent)


def shown_errors(*kinds: type[DarkroomError]) -> Responses:
    """The responses of a route that may fail in these ways, for the API's page."""
    found: Responses = {}
    for kind in kinds:
        status = status_of(kind.code, STATUS[kind.code])
        response = found.setdefault(
            int(status), {"model": ErrorReply, "description": HTTPStatus(status).phrase}
        )
        content: dict[str, Any] = response.setdefault("content", {"application/json": {}})
        examples = content["application/json"].setdefault("examples", {})
        problem = Problem(
            type="",
            title="",
            status=STATUS[kind.code],
            detail=EXAMPLES[kind],
            code=kind.code,
            field=FIELDS.get(kind),
        )
        reply = ErrorReply.of(problem)
        examples[reply.error.code] = {"value": reply.model_dump()}
    return found
