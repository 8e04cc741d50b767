"""The service as its users have it: an API process and a worker process, over HTTP."""

from collections.abc import Iterator

import httpx
import pytest

from tests.address import free_port
from tests.service import process
from tests.waiting import until


@pytest.fixture(scope="session")
def service(worked_redis: str) -> Iterator[httpx.Client]:
    """A client of a running service with the starter checkpoint and a Redis of its own."""
    port = free_port()
    with (
        process(["api", "--port", str(port)], {"REDIS_URL": worked_redis}),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        until(lambda: _workers(client))
        yield client


def _workers(client: httpx.Client) -> list[object]:
    try:
        ready = client.get("/readyz")
    except httpx.TransportError:
        return []
    workers: list[object] = ready.json().get("workers", []) if ready.is_success else []
    return workers
