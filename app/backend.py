"""Redis, as asyncio sees it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import redis
from redis.client import Pipeline

from app.line import Line
from contract.connections import connect, translated
from contract.errors import RedisUnavailable
from contract.job import JobRecord, ask_for_job, read_answers
from contract.queue import model_queue

TIMEOUT_S = 1.0
THREADS = 32

REST_S = 0.5
"""After a timeout nobody asks for this long, so that a crowd does not wait in line for a Redis that
is frozen: each of them would hold a thread for a whole timeout."""

P = ParamSpec("P")
T = TypeVar("T")


class Backend:
    """Runs the functions of `contract`, which block, in threads; and those that only fill a
    pipeline and read its answers, on one line that all requests share."""

    def __init__(self, redis_url: str):
        self.connection = connect(redis_url, timeout_s=TIMEOUT_S)
        self._line = Line(redis_url, timeout_s=TIMEOUT_S)
        self.queue = cache(partial(model_queue, self.connection))
        """The queue of a model, of those that there are: RQ takes its time to make one."""
        self._limiter = anyio.CapacityLimiter(THREADS)
        self._rests_until = 0.0

    async def call(
        self, function: Callable[Concatenate[redis.Redis, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `function(connection, *args, **kwargs)` returns.

        Raises:
            RedisUnavailable: within about a second.
            QueueFull: Redis is out of memory.
        """
        return await anyio.to_thread.run_sync(
            partial(self._call, partial(function, self.connection, *args, **kwargs)),
            limiter=self._limiter,
        )

    async def ask(self, fill: Callable[[Pipeline], object]) -> list[Any]:
        """The answers to the commands with which `fill` fills a pipeline: quick ones, in one round
        trip, and no transaction.

        Raises:
            As `call` does.
        """
        pipeline = self.connection.pipeline(transaction=False)
        fill(pipeline)
        with self._told_apart():
            return await self._line.execute(pipeline)

    async def read_job(self, job_id: str, owner: str | None = None) -> JobRecord | None:
        """What `contract.job.read_job` finds."""
        answers = await self.ask(partial(ask_for_job, job_id=job_id))
        return read_answers(self.connection, job_id, answers, owner)

    def _call(self, function: Callable[[], T]) -> T:
        with self._told_apart():
            return function()

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        """Failures become errors of ours, and a Redis that does not answer gets a rest."""
        if time.monotonic() < self._rests_until:
            raise RedisUnavailable("Redis does not answer in time.")
        try:
            with translated():
                yield
        except RedisUnavailable as error:
            if isinstance(error.__cause__, redis.TimeoutError):
                self._rests_until = time.monotonic() + REST_S
            raise

    async def close(self) -> None:
        await self._line.close()
        self.connection.close()
