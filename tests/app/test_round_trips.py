"""What a request asks of Redis, as Redis hears it."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from redis import Redis

pytestmark = pytest.mark.anyio

MARK = "that is all"


@contextmanager
def heard(connection: Redis) -> Iterator[list[str]]:
    """The commands that clients send meanwhile, without what their scripts call."""
    names: list[str] = []
    with connection.client() as marker:
        marker.ping()  # it has said hello by now
        with connection.monitor() as monitor:
            yield names
            marker.echo(MARK)
            while MARK not in (told := monitor.next_command())["command"]:
                if told["client_type"] != "lua":
                    names.append(told["command"].split()[0])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({}, {}),
        ({"seed": 7}, {}),
        ({}, {"Idempotency-Key": "mine"}),
        ({"seed": 7, "tags": {"a": "b"}}, {"Idempotency-Key": "mine"}),
    ],
    ids=str,
)
async def test_to_accept_a_job_is_one_command(
    client: httpx.AsyncClient,
    connection: Redis,
    model: str,
    body: dict[str, object],
    headers: dict[str, str],
) -> None:
    await client.post("/generate", json={"prompt": "first"})  # connects, and takes the census
    with heard(connection) as names:
        answer = await client.post("/generate", json={"prompt": "a"} | body, headers=headers)
    assert answer.status_code == 202
    assert names == ["EVAL"]


async def test_to_poll_is_one_round_trip(
    client: httpx.AsyncClient, connection: Redis, model: str
) -> None:
    job = (await client.post("/generate", json={"prompt": "a"})).headers["location"]
    with heard(connection) as names:
        await client.get(job)
    assert names == ["HGETALL", "XREVRANGE", "HGETALL", "EVAL"]
    reads = connection.info("stats")["total_reads_processed"]
    await client.get(job)
    assert connection.info("stats")["total_reads_processed"] == reads + 2  # and this INFO
