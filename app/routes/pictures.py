"""The pictures of a job."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.access import Asker
from app.lookup import find_job
from app.responses import problems, success
from app.services import Served, Services
from app.views import PNG
from contract import errors
from contract.errors import JobEnded, PictureExpired, PictureNotFound, PictureNotReady
from contract.job import JobRecord, PictureRecord

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get(
    "/{job_id}/images/{n}",
    response_class=Response,
    responses=success(200, "The picture.", "(the bytes of a PNG)", PNG)
    | {304: {"description": "The caller has it already."}}
    | problems(
        errors.JobNotFound,
        errors.PictureNotFound,
        errors.JobExpired,
        errors.PictureExpired,
        errors.PictureNotReady,
        errors.JobEnded,
        errors.MalformedJob,
        errors.InvalidRequest,
        errors.RedisUnavailable,
        errors.StoreUnavailable,
    ),
    summary="A picture, as PNG",
)
async def get_picture(
    job_id: str,
    n: int,
    services: Served,
    caller: Asker,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    record = await find_job(services, caller, job_id)
    etag = _etag(_picture(record, n))
    if if_none_match is not None and (etag in if_none_match or if_none_match.strip() == "*"):
        return Response(status_code=304, headers=_cache_headers(services, etag))
    return await picture_response(services, record, n, {})


async def picture_response(
    services: Services, record: JobRecord, n: int, headers: dict[str, str]
) -> Response:
    """The bytes of picture `n`.

    Raises:
        PictureNotReady, PictureNotFound, PictureExpired, JobEnded: there are none to be had.
        StoreUnavailable: they are kept where nobody can look now.
    """
    picture = _picture(record, n)
    content = await services.gallery.get(picture.sha256)
    if content is None:
        raise PictureExpired("The picture is no longer kept.")
    headers = headers | _cache_headers(services, _etag(picture))
    return Response(content, media_type=PNG, headers=headers)


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
    return {"ETag": etag, "Cache-Control": f"private, max-age={age}, immutable"}
