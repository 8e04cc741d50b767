"""GET /docs: the API's page, and the files that it is made of."""

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from app.page.api_page import PAGE
from app.routes.page import ASK_AGAIN, IfNoneMatch, file_response
from app.services import Served

router = APIRouter(include_in_schema=False)

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""No host but our own and nothing inline; Swagger UI's style sheet holds pictures as `data:`, and
an answer that is a picture is shown as a `blob:`."""


@router.get("/docs")
async def get_docs(services: Served, if_none_match: IfNoneMatch = None) -> Response:
    return await get_docs_file(PAGE, services, if_none_match)


@router.get("/docs/{name}")
async def get_docs_file(name: str, services: Served, if_none_match: IfNoneMatch = None) -> Response:
    file = services.site.api_page.get(name)
    if file is None:
        raise HTTPException(404)
    return file_response(file, ASK_AGAIN, if_none_match, CONTENT_SECURITY_POLICY)
