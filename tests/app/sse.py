"""Server-Sent Events as a client reads them."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Sent:
    name: str
    data: Any
    id: str | None = None


async def events_in(response: httpx.Response) -> AsyncIterator[Sent]:
    """Each event of the stream; a comment is one without data."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            yield Sent("comment", line[1:].strip())
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Sent(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}


async def all_events(
    client: httpx.AsyncClient, job_id: str, last_id: str | None = None
) -> list[Sent]:
    """Everything until the stream closes."""
    headers = {"Last-Event-ID": last_id.encode("latin-1")} if last_id is not None else {}
    async with client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        return [sent async for sent in events_in(response)]
