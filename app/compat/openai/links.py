"""Links to pictures that open without a key, for an hour: what `response_format: url` gives out."""

import hashlib
import hmac
import secrets
import time
from typing import Annotated, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from redis import Redis

from app.compat.openai.errors import shown_errors
from app.routes.pictures import ANSWERS, REFUSALS, Conditional, conditional_picture
from app.services import Served, Services
from contract import errors
from contract.deletion import deleted_owner
from contract.errors import JobDeleted, JobExpired, LinkRefused
from contract.job import JobRecord, read_job

router = APIRouter(prefix="/v1/images", tags=["openai"])

SECRET_KEY = "darkroom:link-secret"
"""Made once and shared by all API processes; whoever reads Redis reads the pictures anyway."""

LINK_TTL_S = 3600


async def links(services: Services, request: Request, record: JobRecord) -> list[str]:
    """One for each picture of a job."""
    base = services.settings.public_url or str(request.base_url).rstrip("/")
    secret = await services.backend.call(_secret)
    expires = str(int(time.time()) + min(LINK_TTL_S, services.settings.result_ttl_s))
    found = []
    for n in range(record.request.images):
        signed = {"expires": expires, "signature": signature(secret, record.id, n, expires)}
        found.append(f"{base}{router.prefix}/{record.id}/{n}?{urlencode(signed)}")
    return found


@router.get(
    "/{job_id}/{n}",
    response_class=Response,
    responses=ANSWERS | shown_errors(errors.LinkRefused, *REFUSALS),
    summary="A picture, by a signed link",
)
async def get_linked_picture(
    job_id: str,
    n: int,
    services: Served,
    conditions: Conditional,
    expires: Annotated[str, Query(description="Seconds since the epoch.")] = "",
    signature: Annotated[str, Query()] = "",
) -> Response:
    secret = await services.backend.call(_secret)
    require_valid(secret, job_id, n, expires, signature)
    record = await services.backend.call(read_job, job_id)
    if record is None:
        if await services.backend.call(deleted_owner, job_id) is not None:
            raise JobDeleted(f"Job {job_id} was deleted.")
        raise JobExpired(f"Job {job_id} is no longer kept.")
    return await conditional_picture(services, record, n, conditions)


def require_valid(secret: bytes, job_id: str, n: int, expires: str, signed: str) -> None:
    """
    Raises:
        LinkRefused: we did not make the link, or too long ago.
    """
    expected = signature(secret, job_id, n, expires)
    if not hmac.compare_digest(expected.encode(), signed.encode("utf-8", "replace")):
        raise LinkRefused("The link is not one of this service.", field="signature")
    if int(expires) < time.time():
        raise LinkRefused("The link has expired.", field="expires")


def signature(secret: bytes, job_id: str, n: int, expires: str) -> str:
    text = f"{job_id}/{n}/{expires}".encode("utf-8", "replace")
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


def _secret(connection: Redis) -> bytes:
    known = cast("bytes | None", connection.get(SECRET_KEY))
    if known is not None:
        return known
    connection.set(SECRET_KEY, secrets.token_bytes(32), nx=True)
    return cast("bytes", connection.get(SECRET_KEY))
