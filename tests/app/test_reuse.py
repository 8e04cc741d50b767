"""An equal request with a seed is answered from what is finished."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import FinishedJobRegistry
from rq.serializers import JSONSerializer

from app.settings import AppSettings
from contract import finished, holders, identity, queue
from contract.acceptance import Terms
from contract.events import read_events
from contract.finished import ANYBODY
from contract.workers import announce
from tests.app.conftest import PNG, develop, serving
from tests.contract.records import assert_all_expire, in_registry
from tests.contract.samples import FINGERPRINT, TTL_S, job_request, model_card, worker_card
from tests.faults.history import offences

pytestmark = pytest.mark.anyio

ASKED = {"prompt": "a", "seed": 5}


async def post(
    client: httpx.AsyncClient, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    return await client.post("/generate", json=ASKED | fields, headers=headers)


def is_cached(response: httpx.Response) -> bool:
    return bool(response.json()["cached"])


async def test_an_equal_request_is_answered_at_once(client: httpx.AsyncClient, jobs: Queue) -> None:
    first = (await post(client)).json()
    develop(jobs)
    response = await post(client, steps=30)
    job = response.json()
    assert (response.status_code, job["state"], job["cached"]) == (200, "succeeded", True)
    assert job["id"] != first["id"]
    assert response.headers["location"] == f"/jobs/{job['id']}"
    assert (job["worker"], job["timings"]["total_s"]) == (None, 0)
    assert jobs.count == 0
    polled = await client.get(f"/jobs/{job['id']}")
    assert polled.json() == job
    assert (await client.get(job["images"][0]["url"])).content == PNG
    told = (await client.get(f"/jobs/{first['id']}")).json()
    assert told["cached"] is False
    assert told["images"][0]["sha256"] == job["images"][0]["sha256"]
    metrics = (await client.get("/metrics")).text
    assert 'darkroom_jobs_reused_total{model="tiny"} 1.0' in metrics
    assert 'darkroom_jobs_accepted_total{model="tiny"} 1.0' in metrics


async def test_the_picture_itself_comes_at_once(client: httpx.AsyncClient, jobs: Queue) -> None:
    await post(client)
    develop(jobs)
    response = await post(client, {"Accept": "image/png"})
    assert (response.status_code, response.content) == (200, PNG)


async def test_to_rq_it_is_a_finished_job_and_its_history_is_whole(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    await post(client)
    develop(jobs)
    job_id = (await post(client)).json()["id"]
    job = Job.fetch(job_id, connection=connection, serializer=JSONSerializer)
    assert job.get_status() == JobStatus.FINISHED
    assert (job.origin, job.enqueued_at is not None, job.ended_at is not None) == (
        jobs.name,
        True,
        True,
    )
    result = job.latest_result()
    assert result is not None
    assert result.type == result.Type.SUCCESSFUL
    assert result.return_value["cached"] is True
    assert job_id in in_registry(jobs, FinishedJobRegistry)
    assert offences(read_events(connection, job_id)) == []
    assert 0 < connection.ttl(job.key) <= TTL_S
    connection.delete("darkroom:models", "darkroom:workers", *connection.keys("rq:worker*"))
    assert_all_expire(connection)


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 6},
        {"seed": None},
        {"prompt": "b"},
        {"steps": 29},
        {"guidance_stop": 0.6},
        {"format": "webp"},
        {"metadata": False},
        {"images": 2},
    ],
)
async def test_another_request_is_developed(
    client: httpx.AsyncClient, jobs: Queue, fields: dict[str, Any]
) -> None:
    await post(client)
    develop(jobs)
    assert (await post(client, **fields)).status_code == 202
    assert jobs.count == 1


@pytest.mark.parametrize("control", ["no-cache", "max-age=0, No-Cache", "no-store"])
async def test_a_caller_may_want_it_fresh(
    client: httpx.AsyncClient, jobs: Queue, control: str
) -> None:
    await post(client)
    develop(jobs)
    assert (await post(client, {"Cache-Control": control})).status_code == 202
    assert is_cached(await post(client, {"Cache-Control": "max-age=60"}))


async def test_what_is_not_finished_answers_nothing(client: httpx.AsyncClient, jobs: Queue) -> None:
    await post(client)
    assert (await post(client)).status_code == 202
    assert jobs.count == 2


async def test_another_model_of_the_same_name_draws_its_own(
    settings: AppSettings, connection: Redis, jobs: Queue
) -> None:
    async with serving(settings) as client:
        await post(client)
        develop(jobs)
    announce(connection, worker_card(), model_card(fingerprint="1" * 64))
    async with serving(settings) as client:
        assert (await post(client)).status_code == 202
    announce(connection, worker_card(), model_card(fingerprint=""))
    async with serving(settings) as client:
        assert (await post(client)).status_code == 202


async def test_pictures_that_are_gone_answer_nothing(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    await post(client)
    develop(jobs)
    connection.delete(*connection.keys("darkroom:picture:*"))
    response = await post(client)
    assert response.status_code == 202
    assert len(connection.smembers(connection.keys("darkroom:holders:*")[0])) == 1


async def test_pictures_that_are_being_deleted_answer_nothing(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    first = (await post(client)).json()
    develop(jobs)
    digest = (await client.get(f"/jobs/{first['id']}")).json()["images"][0]["sha256"]
    assert holders.release(connection, [digest], first["id"], "x") == [digest]
    assert (await post(client)).status_code == 202


async def test_a_store_that_is_away_is_no_reason_to_refuse(
    settings: AppSettings, jobs: Queue, tmp_path: Path
) -> None:
    async with serving(settings) as client:
        await post(client)
        develop(jobs)
    folder = tmp_path / "pictures"
    async with serving(settings.model_copy(update={"pictures": f"file://{folder}"})) as client:
        folder.rmdir()
        folder.touch()  # to look into a file is an error
        assert (await post(client)).status_code == 202


async def test_the_copy_outlives_the_original(client: httpx.AsyncClient, jobs: Queue) -> None:
    first = (await post(client)).json()
    develop(jobs)
    copy = (await post(client)).json()
    assert (await client.delete(f"/jobs/{first['id']}")).status_code == 204
    assert (await client.get(copy["images"][0]["url"])).content == PNG
    assert is_cached(await post(client))
    for job in (await client.get("/jobs")).json()["jobs"]:
        await client.delete(f"/jobs/{job['id']}")
    assert jobs.connection.keys("darkroom:picture:*") == []
    assert (await post(client)).status_code == 202


async def test_an_idempotency_key_makes_one_job_of_it(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    await post(client)
    develop(jobs)
    headers = {"Idempotency-Key": "a"}
    first, again = await post(client, headers), await post(client, headers)
    assert is_cached(first)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"


def test_what_is_finished_is_its_owners(connection: Redis, jobs: Queue) -> None:
    job_id = identity.new_job_id()
    queue.enqueue(jobs, job_id, job_request(), TTL_S, terms=Terms("me"))
    develop(jobs)
    found = {
        owner: finished.find(connection, owner, job_request(), FINGERPRINT)
        for owner in ("me", "you", "", ANYBODY)
    }
    assert {owner for owner, each in found.items() if each is not None} == {"me", ANYBODY}
