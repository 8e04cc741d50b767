"""The pictures of a job."""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from app.access import Asker
from app.conditions import has_already, wanted_part
from app.lookup import find_job
from app.responses import Responses, problems
from app.services import Served, Services
from app.views import PICTURE_CONTENT
from contract import errors
from contract.errors import JobEnded, PictureExpired, PictureNotFound, PictureNotReady
from contract.job import JobRecord, PictureRecord

router = APIRouter(prefix="/jobs", tags=["jobs"])

NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
MOST_NAME = 40  # characters of the prompt in a file's name

ANSWERS: Responses = {
    200: {"description": "The picture.", "content": PICTURE_CONTENT},
    206: {"description": "The part of it that `Range` asks for.", "content": PICTURE_CONTENT},
    304: {"description": "The caller has it already."},
}

REFUSALS = (
    errors.RangeNotSatisfiable,
    errors.PictureNotFound,
    errors.JobExpired,
    errors.JobDeleted,
    errors.PictureExpired,
    errors.PictureNotReady,
    errors.JobEnded,
    errors.NewerContract,
    errors.MalformedJob,
    errors.InvalidRequest,
    errors.RedisUnavailable,
    errors.StoreUnavailable,
)
"""Of every route that gives out a picture."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the caller has already, and which part it wants, by the headers."""

    if_none_match: str | None
    range_: str | None
    if_range: str | None


async def _conditions(
    if_none_match: Annotated[str | None, Header()] = None,
    range_: Annotated[
        str | None, Header(alias="Range", description="One part, such as `bytes=0-999`.")
    ] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Conditions:
    return Conditions(if_none_match, range_, if_range)


Conditional = Annotated[Conditions, Depends(_conditions)]


@router.get(
    "/{job_id}/images/{n}",
    response_class=Response,
    responses=ANSWERS | problems(errors.JobNotFound, *REFUSALS),
    summary="A picture",
)
async def get_picture(
    job_id: str, n: int, services: Served, caller: Asker, conditions: Conditional
) -> Response:
    record = await find_job(services, caller, job_id)
    return await conditional_picture(services, record, n, conditions)


async def conditional_picture(
    services: Services, record: JobRecord, n: int, conditions: Conditions
) -> Response:
    """Picture `n`, or as much of it as the caller lacks and wants. Raises as `picture_response`."""
    picture = _picture(record, n)
    etag = _etag(picture)
    if has_already(conditions.if_none_match, etag):
        return Response(status_code=304, headers=_cache_headers(services, etag))
    content = await picture_content(services, picture)
    headers = _headers(services, record, picture)
    part = wanted_part(conditions.range_, conditions.if_range, etag, len(content))
    if part is None:
        return Response(content, media_type=record.request.media_type, headers=headers)
    headers["Content-Range"] = part.content_range
    return Response(part.of(content), 206, headers, record.request.media_type)


async def picture_response(
    services: Services, record: JobRecord, n: int, headers: dict[str, str]
) -> Response:
    """The bytes of picture `n`.

    Raises:
        PictureNotReady, PictureNotFound, PictureExpired, JobEnded: there are none to be had.
        StoreUnavailable: they are kept where nobody can look now.
    """
    picture = _picture(record, n)
    content = await picture_content(services, picture)
    headers = headers | _headers(services, record, picture)
    return Response(content, media_type=record.request.media_type, headers=headers)


async def picture_content(services: Services, picture: PictureRecord) -> bytes:
    content = await services.gallery.get(picture.sha256)
    if content is None:
        raise PictureExpired("The picture is no longer kept.")
    return content


def _picture(record: JobRecord, n: int) -> PictureRecord:
    count = record.request.images
    if not 0 <= n < count:
        raise PictureNotFound(f"The job has pictures 0 to {count - 1}; there is no number {n}.")
    if not record.state.is_final:
        raise PictureNotReady(f"The job is {record.state}; pictures come when it has succeeded.")
    if record.result is None:
        reason = f": {record.error.code}" if record.error is not None else ""
        raise JobEnded(f"The job has no pictures, since it {record.state}{reason}.")
    return record.result.images[n]


def _etag(picture: PictureRecord) -> str:
    return f'"{picture.sha256}"'


def _cache_headers(services: Services, etag: str) -> dict[str, str]:
    age = services.settings.result_ttl_s
    return {
        "ETag": etag,
        "Cache-Control": f"private, max-age={age}, immutable",
        "Vary": "Authorization",  # what a browser keeps for one key is not for another
    }


def _headers(services: Services, record: JobRecord, picture: PictureRecord) -> dict[str, str]:
    return _cache_headers(services, _etag(picture)) | {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'inline; filename="{_filename(record, picture)}"',
    }


def _filename(record: JobRecord, picture: PictureRecord) -> str:
    """From the prompt and the seed, in characters that any system takes."""
    words = NOT_IN_A_NAME.sub("-", record.request.prompt.lower()[:MOST_NAME]).strip("-")
    return f"{words or 'picture'}-{picture.seed}.{record.request.format}"
