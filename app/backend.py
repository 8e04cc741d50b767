"""Redis, as asyncio sees it."""

import time
from collections.abc import Callable
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
import redis

from contract.connections import connect, translated
from contract.errors import RedisUnavailable

TIMEOUT_S = 1.0
THREADS = 32

REST_S = 0.5
"""After a timeout nobody asks for this long, so that a crowd does not wait in line for a Redis that
is frozen: each of them would hold a thread for a whole timeout."""

P = ParamSpec("P")
T = TypeVar("T")


class Backend:
    """Runs the functions of `contract`, which block, in threads."""

    def __init__(self, redis_url: str):
        self.connection = connect(redis_url, timeout_s=TIMEOUT_S)
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

    def _call(self, function: Callable[[], T]) -> T:
        if time.monotonic() < self._rests_until:
            raise RedisUnavailable("Redis does not answer in time.")
        try:
            with translated():
                return function()
        except RedisUnavailable as error:
            if isinstance(error.__cause__, redis.TimeoutError):
                self._rests_until = time.monotonic() + REST_S
            raise

    def close(self) -> None:
        self.connection.close()
