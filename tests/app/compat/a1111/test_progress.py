import base64
from collections.abc import AsyncIterator

import httpx
import pytest
from anyio import to_thread
from redis import Redis
from rq import Queue

from app import keyring
from app.settings import AppSettings
from contract.claims import take
from contract.desks import take_on
from contract.job import JobState, read_job
from contract.keys import KeyLimits, add_key
from contract.previews import JobPreview, write_preview
from contract.progress import JobProgress, write_progress
from contract.transactions import Claim
from tests.app.compat.a1111.conftest import MINE, info, on_desk, while_asking
from tests.app.conftest import WORKER, develop, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

IDLE = {
    "progress": 0.0,
    "eta_relative": 0.0,
    "state": {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": "",
        "job_count": 0,
        "job_timestamp": "0",
        "job_no": 0,
        "sampling_step": 0,
        "sampling_steps": 0,
    },
    "current_image": None,
    "textinfo": None,
}
STRANGER = httpx.BasicAuth("anyone", "dk_000000000000_x")


@pytest.fixture
async def guarded(
    settings: AppSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that asks for keys."""
    monkeypatch.setattr(keyring, "LEAST_AGE_S", 0.0)
    async with serving(settings.model_copy(update={"keys": "required"})) as client:
        yield client


def key_of(connection: Redis, name: str, **limits: object) -> httpx.BasicAuth:
    """As `--api-auth` clients send it: any user, and the key for a password."""
    made = add_key(connection, name, KeyLimits.model_validate(limits))
    return httpx.BasicAuth("anyone", made.text)


async def any_desk(connection: Redis) -> None:
    """Waits until somebody waits for a job."""
    await to_thread.run_sync(until, lambda: connection.keys("darkroom:desk:*"), 10.0)


def begin(jobs: Queue, step: int, preview: bytes) -> Claim:
    """Plays a worker that is so far with the next job of 20 steps."""
    held = take(jobs, WORKER)
    assert held is not None
    place = (held.job_id, held.execution.id)
    write_progress(jobs.connection, {place: JobProgress(step / 20, step, 1.5)})
    for index in range(2):
        content = preview + bytes([index])
        shown = JobPreview(0, index, step, 8, 8, content)
        write_preview(jobs.connection, held.job_id, held.execution.id, shown)
    return held


async def test_without_a_job_all_is_zero(client: httpx.AsyncClient, model: str) -> None:
    assert (await client.get("/sdapi/v1/progress")).json() == IDLE


async def test_progress_is_that_of_the_job_that_waits_and_then_runs(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    async def watch() -> None:
        (job_id,) = await on_desk(connection)
        waiting = (await client.get("/sdapi/v1/progress")).json()
        assert (waiting["progress"], waiting["state"]["job_count"]) == (0.01, 1)
        assert waiting["current_image"] is None
        begin(jobs, 5, b"preview")
        running = (await client.get("/sdapi/v1/progress")).json()
        assert (running["progress"], running["eta_relative"]) == (0.25, 1.5)
        state = running["state"]
        assert (state["job"], state["sampling_step"], state["sampling_steps"]) == (job_id, 5, 20)
        assert base64.b64decode(running["current_image"]) == b"preview\1"
        path = "/sdapi/v1/progress?skip_current_image=true"
        assert (await client.get(path)).json()["current_image"] is None
        await client.post("/sdapi/v1/interrupt")

    await while_asking(client, watch, steps=20)
    assert (await client.get("/sdapi/v1/progress")).json() == IDLE


@pytest.mark.parametrize("path", ["/sdapi/v1/interrupt", "/sdapi/v1/skip"])
@pytest.mark.parametrize("is_running", [False, True])
async def test_an_interrupted_call_is_answered_at_once_without_pictures(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue, is_running: bool, path: str
) -> None:
    async def interrupt() -> None:
        await on_desk(connection)
        if is_running:
            begin(jobs, 5, b"preview")
        assert (await client.post(path)).json() == {}

    answer = await while_asking(client, interrupt, steps=20)
    assert (answer.json()["images"], info(answer)["infotexts"]) == ([], [])
    record = read_job(connection, answer.headers["x-darkroom-job"])
    assert record is not None
    assert record.state is JobState.CANCELLED
    assert (await client.post(path)).json() == {}


async def test_an_interruption_leaves_jobs_of_our_own_api_alone(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    job_id = (await client.post("/generate", json={"prompt": "a"})).json()["id"]
    assert (await client.get("/sdapi/v1/progress")).json() == IDLE
    await client.post("/sdapi/v1/interrupt")
    record = read_job(connection, job_id)
    assert record is not None
    assert record.state is JobState.QUEUED


async def test_nobody_sees_or_interrupts_what_another_key_waits_for(
    guarded: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    mine, other = key_of(connection, "mine"), key_of(connection, "other")
    task = {"id_task": "task(mine)"}

    async def meddle() -> None:
        await any_desk(connection)
        assert (await guarded.get("/sdapi/v1/progress", auth=other)).json() == IDLE
        await guarded.post("/sdapi/v1/interrupt", auth=other)
        await guarded.post("/sdapi/v1/skip", auth=other)
        theirs = (await guarded.post("/internal/progress", json=task, auth=other)).json()
        assert not any(theirs[each] for each in ("active", "queued", "completed"))
        pending = (await guarded.get("/internal/pending-tasks", auth=other)).json()
        assert pending == {"size": 0, "tasks": []}
        for path in ("progress", "options", "sd-models"):
            assert (await guarded.get(f"/sdapi/v1/{path}", auth=STRANGER)).status_code == 401
        seen = (await guarded.get("/sdapi/v1/progress", auth=mine)).json()
        assert seen["state"]["job_count"] == 1
        assert develop(jobs) is not None

    task_id = task["id_task"]
    answer = await while_asking(guarded, meddle, {"auth": mine}, force_task_id=task_id)
    assert len(answer.json()["images"]) == 1


async def test_without_keys_callers_are_told_apart_by_their_addresses(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    elsewhere = httpx.ASGITransport(client._transport.app, client=("192.0.2.7", 1))  # type: ignore[attr-defined]

    async def meddle() -> None:
        (job_id,) = await on_desk(connection, MINE)
        async with httpx.AsyncClient(transport=elsewhere, base_url="http://darkroom") as other:
            assert (await other.get("/sdapi/v1/progress")).json() == IDLE
            await other.post("/sdapi/v1/interrupt")
        assert await on_desk(connection, MINE) == [job_id]
        assert develop(jobs) is not None

    answer = await while_asking(client, meddle)
    assert len(answer.json()["images"]) == 1


async def test_a_key_that_may_only_ask_for_what_is_not_urgent_can_ask(
    guarded: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    low = key_of(connection, "low", priority="low")

    async def make() -> None:
        await any_desk(connection)
        assert develop(jobs) is not None

    answer = await while_asking(guarded, make, {"auth": low})
    assert answer.status_code == 200


async def test_limits_of_a_key_are_told_and_held(
    guarded: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    limited = key_of(connection, "limited", per_minute=1, max_steps=20)
    path, body = "/sdapi/v1/txt2img", {"prompt": "a", "steps": 21}
    beyond = await guarded.post(path, json=body, auth=limited)
    assert (beyond.status_code, beyond.json()["field"]) == (403, "steps")

    async def make() -> None:
        await any_desk(connection)
        assert develop(jobs) is not None

    first = await while_asking(guarded, make, {"auth": limited}, steps=20)
    assert first.headers["ratelimit-policy"] == '"requests";q=1;w=60'
    second = await guarded.post(path, json=body | {"steps": 20}, auth=limited)
    assert (second.status_code, second.json()["code"]) == (429, "rate_limited")
    assert int(second.headers["retry-after"]) > 0


@pytest.mark.parametrize("value", ["", "Basic ", "Basic Og=="])
async def test_clients_without_a_key_are_anonymous(
    client: httpx.AsyncClient, model: str, value: str
) -> None:
    answer = await client.get("/sdapi/v1/options", headers={"Authorization": value})
    assert answer.status_code == 200


async def test_a_task_is_asked_for_by_the_name_that_its_caller_gave_it(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    question = {"id_task": "task(1)", "id_live_preview": -1}

    async def watch() -> None:
        await on_desk(connection)
        waiting = (await client.post("/internal/progress", json=question)).json()
        assert (waiting["queued"], waiting["textinfo"]) == (True, "In queue...")
        pending = (await client.get("/internal/pending-tasks")).json()
        assert pending == {"size": 1, "tasks": ["task(1)"]}
        begin(jobs, 10, b"preview")
        running = (await client.post("/internal/progress", json=question)).json()
        assert (running["active"], running["progress"], running["eta"]) == (True, 0.5, 1.5)
        assert running["live_preview"].startswith("data:image/webp;base64,")
        seen = question | {"id_live_preview": running["id_live_preview"]}
        again = (await client.post("/internal/progress", json=seen)).json()
        assert (again["live_preview"], again["id_live_preview"]) == (None, seen["id_live_preview"])
        await client.post("/sdapi/v1/interrupt")

    await while_asking(client, watch, steps=20, force_task_id="task(1)")
    ended = (await client.post("/internal/progress", json=question)).json()
    assert (ended["completed"], ended["active"], ended["queued"]) == (True, False, False)
    unknown = (await client.post("/internal/progress", json={"id_task": "task(2)"})).json()
    assert not any(unknown[each] for each in ("active", "queued", "completed"))


async def test_what_a_dead_process_left_on_a_desk_is_cleared(
    client: httpx.AsyncClient, connection: Redis, jobs: Queue
) -> None:
    job_id = (await client.post("/generate", json={"prompt": "a"})).json()["id"]
    take_on(connection, MINE, job_id, None)
    take_on(connection, MINE, "never was", None)
    assert develop(jobs) is not None
    assert (await client.get("/sdapi/v1/progress")).json() == IDLE
    assert connection.keys("darkroom:desk:*") == []


async def test_what_is_no_question_is_refused(client: httpx.AsyncClient, model: str) -> None:
    headers = {"Content-Type": "application/json"}
    wrong = [b"", b"[]", b'{"id_task": 7}', b'{"id_task": "\\ud800"}', b'{"live_preview": 9}']
    for content in wrong:
        answer = await client.post("/internal/progress", content=content, headers=headers)
        assert answer.status_code == 422, content
    assert (await client.get("/sdapi/v1/progress?skip_current_image=maybe")).status_code == 422
