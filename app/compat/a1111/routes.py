"""All that clients of the web UI call, at the root: some of them overwrite the whole path."""

from fastapi import APIRouter

from app.compat.a1111 import generation, listings, options, progress

PREFIXES = ("/sdapi/", "/internal/")

router = APIRouter(include_in_schema=False)
for noun in (generation, progress, options, listings):
    router.include_router(noun.router)
