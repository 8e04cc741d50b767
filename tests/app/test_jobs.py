import time
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from redis import Redis
from rq import Queue
from rq.job import Job

from app.settings import AppSettings
from contract.claims import take
from contract.endings import cancel, commit, fail
from contract.errors import NotFinite
from contract.identity import new_job_id
from contract.progress import JobProgress, write_progress
from tests.app.conftest import WORKER, develop, serving
from tests.contract.samples import TTL_S, job_result

pytestmark = pytest.mark.anyio


async def accepted(client: httpx.AsyncClient, **fields: Any) -> str:
    response = await client.post("/generate", json={"prompt": "a"} | fields)
    return str(response.json()["id"])


def id_made_at(seconds: float) -> str:
    digits = f"{int(seconds * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7abc-8def-0123456789ab"


async def test_a_running_job_shows_its_progress(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    job_id = await accepted(client, steps=30)
    held = take(jobs, WORKER)
    assert held is not None
    for step in range(31):
        told = JobProgress.of(step / 30, steps=30, left_s=30.0 - step)
        write_progress(connection, {(job_id, held.execution.id): told})
        job = (await client.get(f"/jobs/{job_id}")).json()
        assert job["progress"] == {"step": step, "steps": 30}
        assert job["estimated_s"] == 30.0 - step
    assert (job["state"], job["worker"], job["queue_position"]) == ("running", WORKER, None)
    assert job["started_at"] is not None


async def test_poll_says_when_to_ask_again_until_the_end(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    job_id = await accepted(client)
    assert int((await client.get(f"/jobs/{job_id}")).headers["retry-after"]) > 0
    develop(jobs)
    assert "retry-after" not in (await client.get(f"/jobs/{job_id}")).headers


@pytest.mark.parametrize(("left_s", "advice"), [(None, "1"), (0.0, "1"), (3.2, "4"), (600.0, "10")])
async def test_poll_advice_follows_the_estimate(
    client: httpx.AsyncClient,
    connection: Redis,
    jobs: Queue,
    left_s: float | None,
    advice: str,
) -> None:
    job_id = await accepted(client)
    held = take(jobs, WORKER)
    assert held is not None
    write_progress(connection, {(job_id, held.execution.id): JobProgress(0.5, 15, left_s)})
    assert (await client.get(f"/jobs/{job_id}")).headers["retry-after"] == advice


async def test_a_poll_that_waits_is_answered_at_the_end(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    job_id = await accepted(client)
    answers: list[httpx.Response] = []

    async def poll() -> None:
        answers.append(await client.get(f"/jobs/{job_id}", params={"wait": 999_999}))

    async with anyio.create_task_group() as group:
        group.start_soon(poll)
        assert await to_thread.run_sync(develop, jobs) is not None
    assert (answers[0].status_code, answers[0].json()["state"]) == (200, "succeeded")
    assert "retry-after" not in answers[0].headers


async def test_a_poll_that_waits_in_vain_is_answered_all_the_same(
    settings: AppSettings, jobs: Queue
) -> None:
    async with serving(settings.model_copy(update={"max_wait_s": 0})) as client:
        job_id = await accepted(client)
        response = await client.get(f"/jobs/{job_id}", params={"wait": 10})
    assert (response.status_code, response.json()["state"]) == (200, "queued")
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("wait", ["-1", "soon", "1.5", ""])
async def test_a_poll_that_waits_for_what_is_no_time_is_refused(
    client: httpx.AsyncClient, model: str, wait: str
) -> None:
    job_id = await accepted(client)
    response = await client.get(f"/jobs/{job_id}", params={"wait": wait})
    assert (response.status_code, response.json()["field"]) == (422, "wait")


async def test_timings_are_told_as_far_as_they_are_known(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    job_id = await accepted(client)
    assert (await client.get(f"/jobs/{job_id}")).json()["timings"] is None
    take(jobs, WORKER)
    running = (await client.get(f"/jobs/{job_id}")).json()["timings"]
    assert running["queue_s"] >= 0
    assert running["denoise_s"] is running["total_s"] is None
    cancel(connection, job_id)
    cancelled = (await client.get(f"/jobs/{job_id}")).json()["timings"]
    assert cancelled["total_s"] >= cancelled["queue_s"] == running["queue_s"]


async def test_a_finished_job_lists_its_pictures(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_id = await accepted(client, images=2, seed=7, width=96)
    develop(jobs, b"one", b"two")
    job = (await client.get(f"/jobs/{job_id}")).json()
    assert job["state"] == "succeeded"
    assert [image["url"] for image in job["images"]] == [
        f"/jobs/{job_id}/images/0",
        f"/jobs/{job_id}/images/1",
    ]
    assert [image["seed"] for image in job["images"]] == [7, 8]
    first = job["images"][0]
    assert (first["width"], first["height"], first["media_type"]) == (96, 64, "image/png")
    assert job["warnings"] == job_result().warnings
    assert job["timings"]["total_s"] == 1.5
    assert job["created_at"] <= job["started_at"] <= job["ended_at"]


async def test_a_failed_job_says_why(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_id = await accepted(client)
    held = take(jobs, WORKER)
    assert held is not None
    fail(held, NotFinite("It became NaN."))
    job = (await client.get(f"/jobs/{job_id}")).json()
    assert (job["state"], job["images"]) == ("failed", [])
    assert job["error"] == {
        "code": "not_finite",
        "title": NotFinite.title,
        "detail": "It became NaN.",
    }


async def test_a_queued_job_is_cancelled(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_id, other = await accepted(client), await accepted(client)
    response = await client.delete(f"/jobs/{job_id}")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert jobs.get_job_ids() == [other]


async def test_a_running_job_is_cancelled(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_id = await accepted(client)
    take(jobs, WORKER)
    response = await client.delete(f"/jobs/{job_id}")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")
    assert response.json()["links"]["cancel"] is None


@pytest.mark.parametrize("is_running", [False, True])
async def test_a_job_is_cancelled_by_its_own_route_too(
    client: httpx.AsyncClient, jobs: Queue, is_running: bool
) -> None:
    job_id = await accepted(client)
    if is_running:
        take(jobs, WORKER)
    response = await client.post(f"/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")


async def test_what_has_ended_cannot_be_cancelled(client: httpx.AsyncClient, jobs: Queue) -> None:
    job_id = await accepted(client)
    develop(jobs)
    response = await client.post(f"/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "job_ended")
    assert (await client.get(f"/jobs/{job_id}")).json()["state"] == "succeeded"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("job_id", "status", "code"),
    [
        (new_job_id(), 404, "job_not_found"),
        (id_made_at(time.time() - TTL_S - 60), 410, "job_expired"),
        (id_made_at(time.time() + 3600), 404, "job_not_found"),
        ("c6a5d21e-6a2c-4a5e-9d2c-0a4f3c0a4f3c", 404, "job_not_found"),
        ("1", 404, "job_not_found"),
        ("*", 404, "job_not_found"),
        ("a%00b", 404, "job_not_found"),
        ("%ED%A0%80", 404, "job_not_found"),
    ],
)
async def test_a_job_that_is_not_there_is_404_or_410(
    client: httpx.AsyncClient, model: str, method: str, job_id: str, status: int, code: str
) -> None:
    response = await client.request(method, f"/jobs/{job_id}")
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_an_id_that_is_none_of_ours_never_becomes_a_key(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    connection.set("rq:job:trap", "not a hash")  # to read it would be an error
    response = await client.get("/jobs/trap")
    assert response.status_code == 404


async def test_a_record_that_cannot_be_read_is_a_problem_of_its_own(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    job_id = await accepted(client)
    connection.hset(Job.key_for(job_id), "created_at", "yesterday")
    for response in (await client.get(f"/jobs/{job_id}"), await client.delete(f"/jobs/{job_id}")):
        assert (response.status_code, response.json()["code"]) == (500, "malformed_job")


async def test_a_job_whose_record_has_expired_is_410(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await accepted(client)
    held = take(jobs, WORKER)
    assert held is not None
    commit(held, job_result("a"))
    connection.delete(Job.key_for(job_id))
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + TTL_S + 1)
    response = await client.get(f"/jobs/{job_id}")
    assert (response.status_code, response.json()["code"]) == (410, "job_expired")
