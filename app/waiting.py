"""Waiting for jobs to end: one subscription for the whole process, however many wait."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, suppress

from redis.exceptions import RedisError

from app.backend import Backend
from app.channel import Channel
from contract.errors import RedisUnavailable
from contract.events import ENDED_CHANNEL
from contract.job import JobRecord, ended_among

LOOK_AGAIN_S = 1.0
"""A stock `rq worker` publishes nothing, and news may be lost: the record is the truth. One look
serves all who wait."""

logger = logging.getLogger(__name__)


class Endings:
    """Hears of jobs that end."""

    def __init__(self, redis_url: str, backend: Backend):
        self._backend = backend
        self._channel = Channel(redis_url, ENDED_CHANNEL, self._hear)
        self._waiting: dict[str, set[asyncio.Event]] = {}  # by job: a request sent again waits too
        self._is_leaving = False

    def listening(self) -> AbstractAsyncContextManager[None]:
        return self._channel.heard(self._look)

    async def wait(self, record: JobRecord, seconds: float) -> JobRecord:
        """The record of an accepted job once it has ended, or as it is after `seconds` or at
        `release`. Where Redis is away then, as it was: the job is accepted all the same."""
        ended = asyncio.Event()
        self._waiting.setdefault(record.id, set()).add(ended)
        try:
            record = await self._read(record)  # it may have been quick
            if not record.state.is_final and not self._is_leaving:
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), seconds)
                record = await self._read(record)
            return record
        finally:
            self._waiting[record.id].remove(ended)
            if not self._waiting[record.id]:
                del self._waiting[record.id]

    @property
    def is_leaving(self) -> bool:
        """Whether nobody waits here any more, whatever has become of the jobs."""
        return self._is_leaving

    def release(self) -> None:
        """Ends every wait, now and from now on: a process that stops still owes all who wait the
        ids of their jobs."""
        self._is_leaving = True
        for job_id in self._waiting:
            self._wake(job_id)

    async def _read(self, known: JobRecord) -> JobRecord:
        try:
            return await self._backend.read_job(known.id) or known
        except RedisUnavailable:
            return known

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            try:
                for job_id in await self._backend.call(ended_among, list(self._waiting)):
                    self._wake(job_id)
            except (RedisUnavailable, RedisError) as error:
                logger.debug("no look at jobs: %s", error)

    def _hear(self, message: dict[str, object]) -> None:
        data = message["data"]
        if message["type"] == "message" and isinstance(data, bytes):
            self._wake(data.decode())

    def _wake(self, job_id: str) -> None:
        for ended in self._waiting.get(job_id, ()):
            ended.set()
