from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from contract.claims import take
from contract.endings import cancel, fail
from contract.errors import NotFinite
from contract.transactions import Claim
from tests.app.conftest import PNG, WORKER, develop
from tests.waiting import until

pytestmark = pytest.mark.anyio

AS_PICTURE = {"Accept": "image/png"}


async def ask(
    client: httpx.AsyncClient,
    play: Callable[[], Claim | None],
    headers: dict[str, str],
    **fields: Any,
) -> httpx.Response:
    """The answer to a request, while `play` is tried until it has found the job."""
    answers: list[httpx.Response] = []

    async def post() -> None:
        asked = {"prompt": "a red circle"} | fields
        answers.append(await client.post("/generate", json=asked, headers=headers))

    async with anyio.create_task_group() as group:
        group.start_soon(post)
        await to_thread.run_sync(until, play, 10.0)
    return answers[0]


async def test_prefer_wait_answers_with_the_finished_job(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    response = await ask(client, lambda: develop(jobs), {"Prefer": "wait=10"})
    job = response.json()
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=10"
    assert job["state"] == "succeeded"
    assert (await client.get(job["images"][0]["url"])).content == PNG


async def test_a_request_that_is_sent_again_waits_for_the_same_job(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    """Who leaves early takes nobody else's news along."""
    key = {"Idempotency-Key": "8e03978e"}
    early: list[httpx.Response] = []

    def play() -> Claim | None:
        if jobs.count == 1 and not early:
            early.append(anyio.from_thread.run(again))
        return develop(jobs) if early else None

    async def again() -> httpx.Response:
        asked = {"prompt": "a red circle"}
        return await client.post("/generate", json=asked, headers=key | {"Prefer": "wait=0"})

    response = await ask(client, play, key | {"Prefer": "wait=10"})
    assert (response.status_code, early[0].status_code) == (200, 202)
    assert response.json()["id"] == early[0].json()["id"]


@pytest.mark.parametrize("seconds", ["999999", "99999999999999999999", "9" * 5000])
async def test_wait_is_bounded_by_the_settings(
    client: httpx.AsyncClient, jobs: Queue, seconds: str
) -> None:
    headers = {"Prefer": f"respond-async, wait={seconds}"}
    response = await ask(client, lambda: develop(jobs), headers)
    assert response.headers["preference-applied"] == "wait=20"


async def test_a_job_that_takes_longer_is_202(client: httpx.AsyncClient, jobs: Queue) -> None:
    headers = {"Prefer": "wait=0"}
    response = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    assert (response.status_code, response.json()["state"]) == (202, "queued")
    assert response.headers["location"] == response.json()["links"]["self"]


@pytest.mark.parametrize("preference", ["respond-async", "wait=soon", "wait=-1", "await=5"])
async def test_other_preferences_are_ignored(
    client: httpx.AsyncClient, model: str, preference: str
) -> None:
    headers = {"Prefer": preference}
    response = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


async def test_accept_png_answers_with_the_picture(client: httpx.AsyncClient, jobs: Queue) -> None:
    response = await ask(client, lambda: develop(jobs), AS_PICTURE)
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.content == PNG
    job = (await client.get(response.headers["location"])).json()
    assert response.headers["etag"] == f'"{job["images"][0]["sha256"]}"'


async def test_one_answer_cannot_be_several_pictures(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    asked = {"prompt": "a", "images": 2}
    response = await client.post("/generate", json=asked, headers=AS_PICTURE)
    assert (response.status_code, response.json()["field"]) == (422, "images")
    assert take(jobs, WORKER) is None


async def test_a_picture_that_takes_longer_is_202_with_the_job(
    client: httpx.AsyncClient, model: str
) -> None:
    headers = AS_PICTURE | {"Prefer": "wait=0"}
    response = await client.post("/generate", json={"prompt": "a"}, headers=headers)
    assert (response.status_code, response.json()["state"]) == (202, "queued")


async def test_a_picture_that_fails_is_a_problem_with_the_jobs_code(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    def play() -> Claim | None:
        held = take(jobs, WORKER)
        if held is not None:
            fail(held, NotFinite("It became NaN."))
        return held

    response = await ask(client, play, AS_PICTURE)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["code"]) == (500, "not_finite")
    assert problem["detail"] == "It became NaN."
    job = (await client.get(response.headers["location"])).json()
    assert (job["state"], job["error"]["code"]) == ("failed", "not_finite")


async def test_a_picture_that_is_cancelled_is_409(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    def play() -> Claim | None:
        held = take(jobs, WORKER)
        if held is not None:
            cancel(connection, held.job_id)
        return held

    response = await ask(client, play, AS_PICTURE)
    assert (response.status_code, response.json()["code"]) == (409, "job_ended")


async def test_an_end_that_nobody_published_is_found_all_the_same(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    def play() -> Claim | None:
        held = take(jobs, WORKER)
        if held is not None:
            Job.fetch(held.job_id, connection, JSONSerializer).cancel()  # as RQ's tools do it
        return held

    response = await ask(client, play, {"Prefer": "wait=10"})
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")


async def test_each_who_waits_gets_their_own_job(client: httpx.AsyncClient, jobs: Queue) -> None:
    answers: list[dict[str, Any]] = []

    async def post(n: int) -> None:
        asked = {"prompt": f"number {n}"}
        response = await client.post("/generate", json=asked, headers={"Prefer": "wait=10"})
        answers.append(response.json())

    async with anyio.create_task_group() as group:
        for n in range(20):
            group.start_soon(post, n)
        for _ in range(20):
            await to_thread.run_sync(until, lambda: develop(jobs), 10.0)
    assert {job["request"]["prompt"] for job in answers} == {f"number {n}" for n in range(20)}
    assert {job["state"] for job in answers} == {"succeeded"}


async def test_who_leaves_while_waiting_leaves_the_job_in_the_queue(
    client: httpx.AsyncClient, jobs: Queue
) -> None:
    async with anyio.create_task_group() as group:

        async def post() -> None:
            await client.post("/generate", json={"prompt": "a"}, headers={"Prefer": "wait=10"})

        group.start_soon(post)
        await to_thread.run_sync(until, lambda: jobs.count == 1, 10.0)
        group.cancel_scope.cancel()
    assert develop(jobs) is not None
