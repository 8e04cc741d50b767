"""A channel of Redis, heard by one connection for the whole process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

RECONNECT_S = 0.5

logger = logging.getLogger(__name__)


class Channel:
    """Hears what is told there, and is back by itself after an outage: what was told meanwhile is
    lost, and the first message from then on says that it has subscribed."""

    def __init__(self, redis_url: str, name: str, hear: Callable[[dict[str, object]], None]):
        """
        Args:
            hear: called with each message of redis-py's.
        """
        self._client = redis.asyncio.Redis.from_url(
            redis_url, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
        )
        self._name = name
        self._hear = hear
        self._is_heard: bool | None = None  # None until it was for the first time

    @asynccontextmanager
    async def heard(self, *beside: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
        """Listens meanwhile, and lets these run beside it."""
        # anyio cancels until it is heard: redis-py swallows a cancel that meets its handshake.
        async with self._client, anyio.create_task_group() as group:
            for task in (self._listen, *beside):
                group.start_soon(task)
            yield
            group.cancel_scope.cancel()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(self._name)
                    self._note_heard()
                    async for message in subscription.listen():
                        self._hear(message)
            except (RedisError, OSError) as error:
                self._note_lost(error)
            await asyncio.sleep(RECONNECT_S)

    def _note_heard(self) -> None:
        if self._is_heard is False:
            logger.info("Redis is back, and %s is heard again", self._name)
        self._is_heard = True

    def _note_lost(self, error: Exception) -> None:
        """An outage is one line, however long; one from the start is said at the start."""
        if self._is_heard:
            logger.warning("Redis is lost, and %s is not heard: %s", self._name, error)
            self._is_heard = False
