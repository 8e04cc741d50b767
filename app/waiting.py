"""Waiting for jobs to end: one subscription for the whole process."""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import redis
from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.asyncio.retry import Retry
from rq.job import Job
from rq.utils import as_text

from contract.events import ENDED_CHANNEL
from contract.job import STATES

SWEEP_S = 1.0
PAUSE_S = 0.5  # before a lost connection is tried again
TIMEOUT_S = 3.0

logger = logging.getLogger(__name__)


class Endings:
    """Wakes those who wait for the end of a job.

    News come by subscription. Stock RQ workers send none, and an outage swallows some, so the
    status of every job that is waited for is read once a second too, all in one round trip.
    """

    def __init__(self, redis_url: str):
        self._url = redis_url
        self._waiting: dict[str, set[anyio.Event]] = defaultdict(set)
        self._is_closing = False

    @contextmanager
    def expect(self, job_id: str) -> Iterator[anyio.Event]:
        """An event that is set once the job has ended, or the process is about to."""
        event = anyio.Event()
        if self._is_closing:
            event.set()
        self._waiting[job_id].add(event)
        try:
            yield event
        finally:
            self._waiting[job_id].discard(event)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    def release(self) -> None:
        """Wakes everybody, so that no answer is lost when the process stops."""
        self._is_closing = True
        for job_id in list(self._waiting):
            self._wake(job_id)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listens while the context is open, through any outage."""
        connection = Redis.from_url(
            self._url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_through_outages, lambda: self._listen(connection))
                tasks.start_soon(_through_outages, lambda: self._sweep(connection))
                yield
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await connection.aclose()

    async def _listen(self, connection: Redis) -> None:
        async with connection.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(ENDED_CHANNEL)
            while True:
                message = await pubsub.get_message(timeout=SWEEP_S)
                if message is not None:
                    self._wake(as_text(message["data"]))

    async def _sweep(self, connection: Redis) -> None:
        while True:
            await anyio.sleep(SWEEP_S)
            job_ids = list(self._waiting)
            if not job_ids:
                continue
            pipeline = connection.pipeline(transaction=False)
            for job_id in job_ids:
                pipeline.hget(Job.key_for(job_id), "status")
            statuses = await pipeline.execute()
            for job_id, status in zip(job_ids, statuses, strict=True):
                if status is not None and _is_final(as_text(status)):
                    self._wake(job_id)

    def _wake(self, job_id: str) -> None:
        for event in self._waiting.get(job_id, ()):
            event.set()


def _is_final(status: str) -> bool:
    state = STATES.get(status)  # type: ignore[call-overload]
    return state is not None and state.is_final


async def _through_outages(work: Callable[[], Awaitable[None]]) -> None:
    """Runs work that never ends; begins it anew when Redis was away."""
    while True:
        try:
            await work()
        except (redis.RedisError, OSError) as error:
            logger.warning("the ends of jobs are not heard: %s", error)
            await anyio.sleep(PAUSE_S)
