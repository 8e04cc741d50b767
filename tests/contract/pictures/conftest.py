"""Each kind of picture store, on the real thing."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import Redis

from contract.pictures.opening import open_store
from contract.pictures.store import PictureStore
from contract.settings import CommonSettings
from tests.address import free_port
from tests.contract.samples import TTL_S
from tests.waiting import until

KINDS = ("own redis", "redis", "file", "s3")


class Bucket(NamedTuple):
    """A server that speaks S3, with one bucket, and how to stop it."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def start_bucket() -> Bucket:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    bucket = Bucket(f"http://127.0.0.1:{port}", process)
    until(lambda: process.poll() is not None or answers(port))
    creation = urllib.request.Request(f"{bucket.url}/pictures", method="PUT")
    with urllib.request.urlopen(creation, timeout=10):
        return bucket


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    bucket = start_bucket()
    yield bucket
    bucket.stop()


@pytest.fixture
def aws(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


Open = Callable[..., PictureStore]
"""Opens the store of a URL; without one, that of the queue's own Redis."""


@pytest.fixture
def open_url(connection: Redis, redis_url: str) -> Iterator[Open]:
    opened: list[PictureStore] = []

    def open_it(url: str | None = None) -> PictureStore:
        settings = CommonSettings(redis_url=redis_url, pictures=url, result_ttl_s=TTL_S)
        opened.append(open_store(settings, connection))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, open_url: Open, tmp_path: Path) -> PictureStore:
    if request.param == "s3":
        request.getfixturevalue("aws")
    redis_url: str = request.getfixturevalue("redis_url")
    urls = {
        "own redis": None,
        "redis": redis_url.replace("/0", "/1"),
        "file": f"file://{tmp_path}/some%20pictures",
        "s3": "s3://pictures/of/tests",
    }
    return open_url(urls[request.param])
