"""The one reader of Redis, without a route around it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from redis import Redis
from rq import Queue

from app.backend import Backend
from app.newsroom import Newsroom, Update, Waiting
from contract import queue
from contract.connections import connect
from contract.endings import commit
from contract.events import EventKind, JobEvent
from contract.identity import new_job_id
from contract.job import JobRecord, read_job
from contract.news import last_event_id
from contract.progress import JobProgress, write_progress
from contract.transactions import Claim
from tests.contract.records import taken
from tests.contract.samples import MODEL, TTL_S, job_request, job_result
from tests.faults.servers import RedisServer

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0


@asynccontextmanager
async def listening(redis_url: str) -> AsyncIterator[Newsroom]:
    backend = Backend(redis_url)
    newsroom = Newsroom(redis_url, backend)
    async with newsroom.listening():
        yield newsroom
    await backend.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that keeps what it was told."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


def waiting_job(connection: Redis) -> JobRecord:
    job_id = new_job_id()
    queue.enqueue(queue.model_queue(connection, MODEL), job_id, job_request(), TTL_S)
    record = read_job(connection, job_id)
    assert record is not None
    return record


def step(held: Claim, number: int) -> None:
    told = JobProgress.of(number / 30, steps=30)
    write_progress(held.queue.connection, {(held.job_id, held.execution.id): told})


async def rest(updates: AsyncIterator[Update]) -> list[EventKind]:
    """Of all that still comes, but for places in the queue."""
    with anyio.fail_after(LIMIT_S):
        found = [update async for update in updates if not isinstance(update, Waiting)]
    events = [update for update in found if isinstance(update, JobEvent)]
    assert events == found  # and no gap
    return [event.kind for event in events]


async def test_the_news_goes_on_after_an_outage(server: RedisServer) -> None:
    """With what happened while nobody listened."""
    with connect(server.url, timeout_s=3.0) as connection:
        record = waiting_job(connection)
        async with listening(server.url) as newsroom:
            updates = newsroom.follow(record)
            assert isinstance(await anext(updates), Waiting)
            await to_thread.run_sync(server.restart)
            held = taken(queue.model_queue(connection, MODEL))
            step(held, 7)
            commit(held, job_result("a"))
            kinds = [EventKind.STARTED, EventKind.PROGRESS, EventKind.SUCCEEDED]
            assert await rest(updates) == kinds


async def test_news_that_never_came_is_found(
    redis_url: str, connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.newsroom.LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr("app.newsroom.QUIET_S", 0.05)
    monkeypatch.setattr("app.newsroom.NEWS_CHANNEL", "another channel")
    record = waiting_job(connection)
    async with listening(redis_url) as newsroom:
        updates = newsroom.follow(record)
        assert isinstance(await anext(updates), Waiting)
        commit(taken(jobs), job_result("a"))
        assert await rest(updates) == [EventKind.STARTED, EventKind.SUCCEEDED]


async def test_who_has_seen_more_elsewhere_gets_nothing_twice(
    redis_url: str, connection: Redis, jobs: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have been told before this one."""
    monkeypatch.setattr("app.newsroom.NEWS_CHANNEL", "another channel")
    record = waiting_job(connection)
    async with listening(redis_url) as newsroom:
        first = newsroom.follow(record)
        assert isinstance(await anext(first), Waiting)
        held = taken(jobs)
        step(held, 7)
        seen = last_event_id(connection, record.id)
        commit(held, job_result("a"))
        assert await rest(newsroom.follow(record, seen)) == [EventKind.SUCCEEDED]
        kinds = [EventKind.STARTED, EventKind.PROGRESS, EventKind.SUCCEEDED]
        assert await rest(first) == kinds


async def test_all_who_follow_are_released(redis_url: str, connection: Redis) -> None:
    record = waiting_job(connection)
    async with listening(redis_url) as newsroom:
        updates = newsroom.follow(record)
        assert isinstance(await anext(updates), Waiting)
        newsroom.release()
        assert await rest(updates) == []
        assert await rest(newsroom.follow(record)) == []
