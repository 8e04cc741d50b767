"""The picture store, as asyncio sees it."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from contract.connections import translated
from contract.errors import StoreUnavailable
from contract.pictures.store import PictureStore, reason

THREADS = 16
"""Apart from those that ask Redis: a slow store holds up pictures only."""

LIMIT_S = 15.0
"""A disk that hangs holds a thread for ever, but no caller."""

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)


class Gallery:
    """Asks the store in threads. Whatever it is asked raises

    StoreUnavailable: the store fails, or takes longer than LIMIT_S.
    RedisUnavailable: the store is the queue's Redis, and that cannot be reached.
    """

    def __init__(self, store: PictureStore):
        self._store = store
        self._limiter = anyio.CapacityLimiter(THREADS)

    async def get(self, digest: str) -> bytes | None:
        """The bytes of a picture, or None where they have expired."""
        return await self._ask(partial(self._store.get, digest))

    async def keep(self, digests: Sequence[str]) -> bool:
        """Whether all of these are there; they are kept for the store's TTL from now on."""
        return await self._ask(partial(self._store.keep, digests))

    async def delete(self, digests: Sequence[str]) -> None:
        """Removes these, as far as they are there."""
        await self._ask(partial(self._store.delete, digests))

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            with anyio.fail_after(LIMIT_S):
                return await anyio.to_thread.run_sync(
                    partial(_translated, question), limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError as error:
            raise StoreUnavailable("The picture store does not answer in time.") from error
        except StoreUnavailable as error:
            logger.warning("the picture store: %s", reason(error))
            raise

    def close(self) -> None:
        self._store.close()


def _translated(question: Callable[[], Answer]) -> Answer:
    with translated():
        return question()
