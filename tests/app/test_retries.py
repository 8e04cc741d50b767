"""POST /jobs/{id}/retry."""

from typing import Any

import httpx
import pytest
from rq import Queue

from contract import identity
from contract.claims import take
from contract.endings import fail
from contract.errors import NotFinite
from contract.request import MOST_SEED
from tests.app.conftest import WORKER, develop

pytestmark = pytest.mark.anyio

FIELDS = {"prompt": "a", "steps": 9, "images": 2, "width": 512, "size_policy": "fit"}


async def made(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    job: dict[str, Any] = (await client.post("/generate", json=FIELDS | fields)).json()
    return job


@pytest.mark.parametrize("content", [{}, {"json": {}}, {"json": {"seed": "same"}}])
async def test_the_same_is_asked_again(
    client: httpx.AsyncClient, jobs: Queue, content: dict[str, Any]
) -> None:
    job = await made(client, format="webp", metadata=False)
    held = take(jobs, WORKER)
    assert held is not None
    fail(held, NotFinite("It became NaN."))
    response = await client.post(job["links"]["retry"], **content)
    again = response.json()
    assert (response.status_code, again["state"]) == (202, "queued")
    assert response.headers["location"] == f"/jobs/{again['id']}" != f"/jobs/{job['id']}"
    assert again["request"] == job["request"]


async def test_a_new_seed_is_drawn_or_named(client: httpx.AsyncClient, model: str) -> None:
    job = await made(client, seed=5)
    retry = job["links"]["retry"]
    drawn = (await client.post(retry, json={"seed": "new"})).json()["request"]
    named = (await client.post(retry, json={"seed": 6})).json()["request"]
    assert drawn["seed"] != 5
    assert drawn == job["request"] | {"seed": drawn["seed"]}
    assert named == job["request"] | {"seed": 6}


@pytest.mark.parametrize(
    "body", [{"seed": "other"}, {"seed": -1}, {"seed": MOST_SEED}, {"seed": 1.5}, {"seed": "5"}]
)
async def test_what_is_no_seed_is_refused(
    client: httpx.AsyncClient, jobs: Queue, body: dict[str, Any]
) -> None:
    job = await made(client)
    response = await client.post(job["links"]["retry"], json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["field"].startswith("seed")
    assert jobs.count == 1


async def test_it_waits_and_is_idempotent_as_any_request(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    job = await made(client, images=1)
    headers = {"Idempotency-Key": "a"}
    first = await client.post(job["links"]["retry"], headers=headers)
    again = await client.post(job["links"]["retry"], headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert jobs.count == 2


async def test_a_finished_job_answers_its_retry(client: httpx.AsyncClient, jobs: Queue) -> None:
    job = await made(client, images=1)
    develop(jobs)
    response = await client.post(job["links"]["retry"])
    assert (response.status_code, response.json()["cached"]) == (200, True)


async def test_a_job_that_is_not_there_cannot_be_tried_again(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    missing = await client.post(f"/jobs/{identity.new_job_id()}/retry")
    assert (missing.status_code, missing.json()["code"]) == (404, "job_not_found")
    job = await made(client)
    develop(jobs, b"one", b"two")
    await client.delete(f"/jobs/{job['id']}")
    deleted = await client.post(job["links"]["retry"])
    assert (deleted.status_code, deleted.json()["code"]) == (410, "job_deleted")
