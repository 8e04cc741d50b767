"""OpenAI's SDK against the real app; the tests play the worker."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai.types import ImagesResponse
from redis import Redis

from contract.job import JobRecord
from contract.job_list import Wanted, list_jobs
from tests.waiting import until

LIMIT_S = 20.0


def sdk_for(url: str, key: str = "none", **options: Any) -> OpenAI:
    """One that tries once, so that errors are seen."""
    usual = {"max_retries": 0, "timeout": LIMIT_S}
    return OpenAI(base_url=f"{url}/v1", api_key=key, **(usual | options))


@pytest.fixture
def sdk(url: str) -> Iterator[OpenAI]:
    with sdk_for(url) as client:
        yield client


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """Where calls wait while the test plays the worker."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Caller:
    """Asks for pictures in a thread, as `generate` or as a stream."""

    def __init__(self, sdk: OpenAI, pool: ThreadPoolExecutor):
        self._sdk, self._pool = sdk, pool

    def image(self, **fields: Any) -> "Future[ImagesResponse]":
        return self._pool.submit(lambda: self._sdk.images.generate(prompt="a", **fields))

    def stream(self, told: list[Any], **fields: Any) -> "Future[None]":
        """Each event is appended to `told` as it comes."""
        stream = self._sdk.images.generate(prompt="a", stream=True, **fields)
        return self._pool.submit(lambda: told.extend(stream))


@pytest.fixture
def caller(sdk: OpenAI, aside: ThreadPoolExecutor) -> Caller:
    return Caller(sdk, aside)


def all_jobs(connection: Redis, owner: str = "") -> list[JobRecord]:
    return list(list_jobs(connection, owner, Wanted(), 100).jobs)


def the_job(connection: Redis) -> JobRecord:
    """The only one that there is, as soon as there is one."""
    (job,) = until(lambda: all_jobs(connection))
    return job


def post(url: str, key: str | None = None, **fields: Any) -> httpx.Response:
    """Not by the SDK."""
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    body = {"prompt": "a"} | fields
    return httpx.post(f"{url}/v1/images/generations", json=body, headers=headers)
