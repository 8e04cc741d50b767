"""The picture store, as asyncio sees it."""

import logging
from functools import partial

import anyio
import anyio.to_thread

from contract.connections import translated
from contract.errors import StoreUnavailable
from contract.pictures.store import PictureStore, reason

THREADS = 16
"""Apart from those that ask Redis: a slow store holds up pictures only."""

LIMIT_S = 15.0
"""A disk that hangs holds a thread for ever, but no caller."""

logger = logging.getLogger(__name__)


class Gallery:
    """Reads pictures in threads."""

    def __init__(self, store: PictureStore):
        self._store = store
        self._limiter = anyio.CapacityLimiter(THREADS)

    async def get(self, digest: str) -> bytes | None:
        """The bytes of a picture, or None where they have expired.

        Raises:
            StoreUnavailable: the store fails, or takes longer than LIMIT_S.
            RedisUnavailable: the store is the queue's Redis, and that cannot be reached.
        """
        try:
            with anyio.fail_after(LIMIT_S):
                return await anyio.to_thread.run_sync(
                    partial(self._get, digest), limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError as error:
            raise StoreUnavailable("The picture store does not answer in time.") from error
        except StoreUnavailable as error:
            logger.warning("picture %s: %s", digest, reason(error))
            raise

    def _get(self, digest: str) -> bytes | None:
        with translated():
            return self._store.get(digest)

    def close(self) -> None:
        self._store.close()
