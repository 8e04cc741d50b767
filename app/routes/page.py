"""GET /: the page, and the files that it is made of."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from starlette.exceptions import HTTPException

from app.conditions import has_already
from app.page.file import File
from app.services import Served

router = APIRouter(include_in_schema=False)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""No host but our own, nothing inline, and no text that becomes markup: a prompt is never more than
a prompt."""

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

IfNoneMatch = Annotated[str | None, Header()]


@router.get("/")
async def get_page(services: Served, if_none_match: IfNoneMatch = None) -> Response:
    """Open to all: where keys are needed, the page asks for one."""
    return file_response(services.site.page, ASK_AGAIN, if_none_match)


@router.get("/assets/{version}/{name}")
async def get_asset(
    version: str, name: str, services: Served, if_none_match: IfNoneMatch = None
) -> Response:
    """Of another version, as while APIs of two versions run side by side, it is ours all the same,
    and not kept."""
    site = services.site
    file = site.files.get(name)
    if file is None:
        raise HTTPException(404)
    cache = FOR_GOOD if version == site.version else ASK_AGAIN
    return file_response(file, cache, if_none_match)


def file_response(
    file: File, cache: str, if_none_match: str | None, policy: str = CONTENT_SECURITY_POLICY
) -> Response:
    headers = HEADERS | {
        "Content-Security-Policy": policy,
        "Cache-Control": cache,
        "ETag": file.etag,
    }
    if has_already(if_none_match, file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
