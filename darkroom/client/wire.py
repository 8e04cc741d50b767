"""Between our values and httpx's."""

from importlib.metadata import version
from typing import Any

import httpx

from darkroom.client.calls import Call, Lost, Reply

HEADERS = {"User-Agent": f"darkroom-python/{version('darkroom')}"}


def arguments(http: httpx.Client | httpx.AsyncClient, call: Call) -> dict[str, Any]:
    """Of a request by httpx."""
    limits = http.timeout.as_dict()
    if limits["read"] is not None:
        limits["read"] += call.holds_s
    return {
        "method": call.method,
        "url": call.path,
        "params": call.params or None,
        "json": call.json,
        "headers": call.headers,
        "timeout": httpx.Timeout(**limits),
    }


def reply_of(response: httpx.Response) -> Reply:
    """With the body, unless that is still to be read."""
    is_read = response.is_closed
    return Reply(
        status=response.status_code,
        headers=response.headers,
        content=response.content if is_read else b"",
        elapsed_s=response.elapsed.total_seconds() if is_read else 0.0,
    )


def lost(http: httpx.Client | httpx.AsyncClient, error: httpx.RequestError) -> Lost:
    why = str(error) or type(error).__name__
    return Lost(f"{str(http.base_url).rstrip('/')} cannot be reached: {why.rstrip('.')}.")
