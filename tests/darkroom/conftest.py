"""The real app on a real Redis, in a thread; the tests play the worker with the worker's moves."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest
from redis import Redis
from rq import Queue

from app.main import ApiServer, create_app
from app.services import Services
from app.settings import AppSettings
from contract import queue
from contract.workers import announce
from tests.address import Address, free_port
from tests.contract.samples import MODEL, TTL_S, model_card, worker_card
from tests.waiting import until


class Api:
    """A server that is stopped and started again at its old address."""

    def __init__(self, settings: AppSettings):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = settings
        self.start()

    def start(self) -> None:
        app = create_app(self._settings)
        self.services: Services = app.state.services
        self._server = ApiServer(app)
        listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        until(lambda: self._server.started, 20.0)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def api(redis_url: str) -> Iterator[Api]:
    settings = AppSettings(redis_url=redis_url, result_ttl_s=TTL_S, max_wait_s=20, max_queue=20)
    api = Api(settings)
    yield api
    api.stop()


@pytest.fixture
def jobs(api: Api, connection: Redis) -> Queue:
    """The queue of a model with one live worker."""
    announce(connection, worker_card("gpu-1", row_steps_per_s=100.0), model_card())
    return queue.model_queue(connection, MODEL)


@pytest.fixture
def line(api: Api) -> Iterator[Address]:
    """A line to the server that breaks when it is told to."""
    with Address(api.port) as line:
        yield line
