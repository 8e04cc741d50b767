"""The real app on a real Redis; the tests play the worker with the worker's own moves."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from threading import Thread

import httpx
import pytest
from redis import Redis
from rq import Queue

from app.main import ApiServer, create_app, listen
from app.settings import AppSettings
from contract import queue
from contract.claims import take
from contract.endings import commit
from contract.pictures.redis_store import RedisStore
from contract.transactions import Claim
from contract.workers import announce
from tests.contract.samples import MODEL, TTL_S, job_result, model_card, worker_card
from tests.waiting import until

WORKER = "gpu-1"
PNG = b"\x89PNG of a red circle"


@asynccontextmanager
async def serving(settings: AppSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with these settings, started and stopped as a server would."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://darkroom") as client,
    ):
        yield client


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(redis_url: str, connection: Redis) -> AppSettings:
    return AppSettings(redis_url=redis_url, result_ttl_s=TTL_S, max_wait_s=20)


@pytest.fixture
async def client(settings: AppSettings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        yield client


@pytest.fixture
def server(settings: AppSettings) -> ApiServer:
    return ApiServer(create_app(settings))


@pytest.fixture
def url(server: ApiServer, settings: AppSettings) -> Iterator[str]:
    """The address of the server, which runs in a thread."""
    with listen(settings.model_copy(update={"port": 0})) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, 20.0)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def model(connection: Redis) -> str:
    """A model with one live worker."""
    announce(connection, worker_card(WORKER), model_card())
    return MODEL


@pytest.fixture
def jobs(connection: Redis, model: str) -> Queue:
    return queue.model_queue(connection, model)


def develop(jobs: Queue, *pictures: bytes) -> Claim | None:
    """Plays a worker that takes the next job and makes these pictures; None where none waits."""
    held = take(jobs, WORKER)
    if held is not None:
        store = RedisStore(jobs.connection, TTL_S)
        commit(held, job_result(*map(store.put, pictures or (PNG,))))
    return held
