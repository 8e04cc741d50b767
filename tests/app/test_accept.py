"""Which form of an answer a client gets that says what it takes."""

from typing import Any

import httpx
import pytest
from rq import Queue

from app.accept import preferred
from contract.claims import take
from tests.app.conftest import WORKER

OFFERS = ["application/json", "image/png", "image/jpeg", "image/webp"]


@pytest.mark.parametrize(
    ("header", "offer"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("nonsense", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("image/*, image/png;q=0", "image/jpeg"),
        ("image/webp, image/png", "image/webp"),
        ("image/webp;q=0.5, image/png;q=0.9", "image/png"),
        ("image/png;q=0.5, */*;q=0.1", "image/png"),
        ("image/png;q=0.1, */*;q=0.5", "application/json"),
        ("image/avif, image/webp;q=0.8, */*;q=0.5", "image/webp"),
        ("application/json, image/png", "application/json"),
        ("image/png, application/json", "image/png"),
        ("image/jpeg;charset=x;q=0.3, image/webp ; Q=0.4", "image/webp"),
        ("text/html", None),
        ("image/avif", None),
        ("image/png;q=0", None),
        ("*/png", "application/json"),
    ],
)
def test_the_best_liked_offer_is_chosen(header: str | None, offer: str | None) -> None:
    assert preferred(header, OFFERS) == offer


async def format_of(client: httpx.AsyncClient, jobs: Queue, accept: str, **fields: Any) -> str:
    """Of the job that comes of it; the wait is cut short."""
    headers = {"Accept": accept, "Prefer": "wait=0"}
    response = await client.post("/generate", json={"prompt": "a"} | fields, headers=headers)
    assert response.status_code == 202
    held = take(jobs, WORKER)
    assert held is not None
    return str(held.job.kwargs["request"]["format"])


@pytest.mark.anyio
async def test_the_picture_is_in_the_format_that_the_client_takes(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    assert await format_of(client, jobs, "image/webp") == "webp"
    assert await format_of(client, jobs, "image/*", format="jpeg") == "jpeg"
    assert await format_of(client, jobs, "image/jpeg", quality=5) == "jpeg"
    assert await format_of(client, jobs, "application/json", format="webp") == "webp"
    assert await format_of(client, jobs, "text/html") == "png"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("accept", "fields", "field"),
    [
        ("image/png", {"format": "jpeg"}, "format"),
        ("image/avif", {}, "Accept"),
        ("image/png", {"images": 2}, "images"),
        ("image/png", {"quality": 5}, "quality"),
    ],
)
async def test_a_format_that_the_client_does_not_take_is_refused(
    client: httpx.AsyncClient, jobs: Queue, accept: str, fields: dict[str, Any], field: str
) -> None:
    headers = {"Accept": accept}
    response = await client.post("/generate", json={"prompt": "a"} | fields, headers=headers)
    assert (response.status_code, response.json()["field"]) == (422, field)
    assert jobs.count == 0
