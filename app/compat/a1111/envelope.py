"""Errors as the web UI writes them: a status, and a sentence under `detail`."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app.problems import Problem

THEIR_FIELDS: Mapping[str, str] = {
    "guidance": "cfg_scale",
    "images": "batch_size",
    "model": "sd_model_checkpoint",
    "sampler": "sampler_name",
}
"""Our names of fields that are called otherwise there."""


class WebUiError(BaseModel):
    """The first four members are the web UI's own."""

    error: str
    detail: str
    body: str = ""
    errors: str
    code: str
    field: str | None = Field(default=None, description="The field at fault, as it is called here.")
    allowed: list[str] | None = None


def write_error(problem: Problem, headers: Mapping[str, str] | None) -> JSONResponse:
    field = problem.field
    error = WebUiError(
        error=problem.title,
        detail=problem.detail,
        errors=problem.detail,
        code=problem.code,
        field=THEIR_FIELDS.get(field, field) if field is not None else None,
        allowed=problem.allowed,
    )
    return JSONResponse(
        error.model_dump(exclude_none=True), status_code=problem.status, headers=headers
    )
