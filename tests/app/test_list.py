"""GET /jobs."""

from typing import Any

import httpx
import pytest
from rq import Queue

from contract import identity
from contract.claims import take
from tests.app.conftest import WORKER, develop

pytestmark = pytest.mark.anyio


async def accepted(client: httpx.AsyncClient) -> str:
    return str((await client.post("/generate", json={"prompt": "a"})).json()["id"])


async def listed(client: httpx.AsyncClient, **params: Any) -> list[str]:
    response = await client.get("/jobs", params=params)
    assert response.status_code == 200
    return [job["id"] for job in response.json()["jobs"]]


async def test_jobs_are_listed_as_they_are(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_ids = {await accepted(client) for _ in range(3)}
    develop(jobs)
    take(jobs, WORKER)
    page = (await client.get("/jobs")).json()
    assert {job["id"] for job in page["jobs"]} == job_ids
    assert page["next"] is None
    for job in page["jobs"]:
        told = (await client.get(f"/jobs/{job['id']}")).json()
        assert job == told | {"queue_position": None, "estimated_s": None}


async def test_without_jobs_the_list_is_empty(client: httpx.AsyncClient) -> None:
    assert (await client.get("/jobs")).json() == {"jobs": [], "next": None}


async def test_links_lead_through_all_pages(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_ids = {await accepted(client) for _ in range(5)}
    await client.delete(f"/jobs/{await accepted(client)}")
    seen: list[str] = []
    url: str | None = "/jobs?state=queued&state=running&limit=2"
    while url is not None:
        page = (await client.get(url)).json()
        seen += [job["id"] for job in page["jobs"]]
        url = page["next"]
    assert len(seen) == 5
    assert set(seen) == job_ids


async def test_jobs_are_filtered(client: httpx.AsyncClient, jobs: Queue) -> None:
    ended, waiting = await accepted(client), await accepted(client)
    develop(jobs)
    created = (await client.get(f"/jobs/{waiting}")).json()["created_at"]
    naive = created.removesuffix("Z")
    assert await listed(client, state="succeeded") == [ended]
    assert await listed(client, state=["failed", "cancelled"]) == []
    assert set(await listed(client, model="tiny")) == {ended, waiting}
    assert await listed(client, model="other") == []
    assert waiting not in await listed(client, created_after=created)
    assert waiting not in await listed(client, created_before=naive)
    assert len(await listed(client, created_after="2020-01-01T00:00:00+02:00")) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "done"),
        ("limit", "0"),
        ("limit", "101"),
        ("created_after", "yesterday"),
        ("cursor", ""),
        ("cursor", "abc"),
        ("cursor", "é"),
        ("cursor", "A" * 22),
        pytest.param("cursor", identity.new_job_id(), id="cursor-a job"),
    ],
)
async def test_a_wrong_question_is_refused_by_name(
    client: httpx.AsyncClient, field: str, value: str
) -> None:
    response = await client.get("/jobs", params={field: value})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, "invalid_request")
    assert problem["field"].partition(".")[0] == field


@pytest.mark.parametrize("path", ["/jobs", "/models"])
async def test_a_parameter_that_a_list_does_not_have_is_refused(
    client: httpx.AsyncClient, model: str, path: str
) -> None:
    answer = await client.get(path, params={"stat": "queued"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (
        422,
        "invalid_request",
        "stat",
    )
    assert ("created_after" in problem["detail"]) == (path == "/jobs")
