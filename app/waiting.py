"""Waiting for jobs to end: one subscription for the whole process, however many wait."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.backend import Backend
from contract.events import ENDED_CHANNEL
from contract.job import JobRecord, read_job

LOOK_AGAIN_S = 1.0
"""A stock `rq worker` publishes nothing, and news may be lost: the record is the truth."""

RECONNECT_S = 0.5

logger = logging.getLogger(__name__)


class Endings:
    """Hears of jobs that end."""

    def __init__(self, redis_url: str, backend: Backend):
        self._backend = backend
        self._client = redis.asyncio.Redis.from_url(
            redis_url, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self._client.aclose()

    async def wait(self, job_id: str, seconds: float) -> JobRecord | None:
        """The record of the job once it has ended, or as it is after `seconds`.

        Raises:
            RedisUnavailable: Redis went away meanwhile.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        ended = self._ended[job_id]
        try:
            while True:
                record = await self._backend.call(read_job, job_id)
                left = deadline - asyncio.get_running_loop().time()
                if record is None or record.state.is_final or left <= 0:
                    return record
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), min(left, LOOK_AGAIN_S))
                ended.clear()
        finally:
            self._ended.pop(job_id, None)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(ENDED_CHANNEL)
                    async for message in subscription.listen():
                        self._hear(message)
            except (RedisError, OSError) as error:
                logger.debug("no news of jobs: %s", error)
            await asyncio.sleep(RECONNECT_S)

    def _hear(self, message: dict[str, object]) -> None:
        data = message["data"]
        if message["type"] == "message" and isinstance(data, bytes):
            waited_for = self._ended.get(data.decode())
            if waited_for is not None:
                waited_for.set()
