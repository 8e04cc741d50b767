"""The line to Redis that all requests share."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest
import redis
from redis import Redis
from redis.client import Pipeline

from app.line import Line

pytestmark = pytest.mark.anyio


@pytest.fixture
def client(connection: Redis) -> Redis:
    """Only fills pipelines."""
    return connection


@pytest.fixture
async def line(redis_url: str) -> AsyncIterator[Line]:
    line = Line(redis_url, timeout_s=5.0)
    yield line
    await line.close()


def echo(client: Redis, *texts: str) -> Pipeline:
    pipeline = client.pipeline(transaction=False)
    for text in texts:
        pipeline.echo(text)
    return pipeline


async def test_everyone_gets_their_own_answers_on_one_connection(line: Line, client: Redis) -> None:
    found: dict[int, list[bytes]] = {}
    before = len(client.client_list(_type="normal"))

    async def ask(n: int) -> None:
        found[n] = await line.execute(echo(client, *(f"{n}.{k}" for k in range(n % 4 + 1))))

    async with anyio.create_task_group() as group:
        for n in range(200):
            group.start_soon(ask, n)
    for n in range(200):
        assert found[n] == [f"{n}.{k}".encode() for k in range(n % 4 + 1)]
    assert len(client.client_list(_type="normal")) == before + 1


async def test_answers_are_what_a_pipeline_makes_of_them(line: Line, client: Redis) -> None:
    client.hset("hash", mapping={"a": "1", "b": "2"})
    client.xadd("stream", {"field": "x" * 100_000}, id="1-1")  # comes in several pieces
    pipeline = client.pipeline(transaction=False)
    pipeline.hgetall("hash").xrevrange("stream", count=1).hgetall("nothing")
    assert await line.execute(pipeline) == pipeline.execute()


async def test_who_asks_wrongly_disturbs_nobody(line: Line, client: Redis) -> None:
    client.set("text", "no list")
    outcomes: list[object] = []

    async def ask(wrongly: bool) -> None:
        pipeline = echo(client, "before")
        pipeline.lpush("text" if wrongly else "list", "a")
        try:
            outcomes.append(await line.execute(pipeline))
        except redis.ResponseError as error:
            outcomes.append(str(error)[:9])

    async with anyio.create_task_group() as group:
        for wrongly in (False, True, False):
            group.start_soon(ask, wrongly)
    assert outcomes == [[b"before", 1], "WRONGTYPE", [b"before", 2]]


async def test_who_gives_up_waiting_shifts_no_answer(line: Line, client: Redis) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(line.execute, echo(client, "first"))
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert await line.execute(echo(client, "second")) == [b"second"]


async def test_a_connection_that_breaks_is_made_anew(line: Line, client: Redis) -> None:
    await line.execute(echo(client, "a"))
    client.client_kill_filter(_type="normal", skipme=True)
    with suppress(redis.ConnectionError):  # told as soon as the end is heard
        await line.execute(echo(client, "b"))
    assert await line.execute(echo(client, "c")) == [b"c"]


async def test_a_frozen_redis_is_told_in_time_to_all_and_its_late_answers_to_nobody(
    redis_url: str, client: Redis
) -> None:
    line = Line(redis_url, timeout_s=0.2)
    await line.execute(echo(client, "a"))
    client.client_pause(500)
    late: list[Exception] = []

    async def ask() -> None:
        try:
            await line.execute(echo(client, "late"))
        except redis.TimeoutError as error:
            late.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
    assert len(late) == 3
    client.ping()  # answered as soon as it is no longer frozen
    assert await line.execute(echo(client, "b")) == [b"b"]
    await line.close()


async def test_who_asks_while_it_connects_to_a_frozen_redis_waits_no_longer_than_the_first(
    client: Redis,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        line = Line(f"redis://127.0.0.1:{frozen.getsockname()[1]}/0", timeout_s=0.2)
        asked = (line.execute(echo(client, "late")) for _ in range(20))
        began = time.monotonic()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - began < 1.0
        assert {type(each) for each in outcomes} == {redis.TimeoutError}
        await line.close()


async def test_a_pause_of_this_process_is_not_taken_for_a_redis_that_is_late(
    redis_url: str, client: Redis
) -> None:
    line = Line(redis_url, timeout_s=0.1)
    await line.execute(echo(client, "a"))
    asked = asyncio.ensure_future(line.execute(echo(client, "b")))
    await anyio.lowlevel.checkpoint()  # it goes out
    time.sleep(0.2)  # nobody reads what comes
    assert await asked == [b"b"]
    await line.close()
