"""Previews to WebP, and to whoever listens to the job: in a thread, off the engine's loop."""

import logging
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore

import redis
from redis import Redis

from contract.previews import write_preview
from contract.transactions import Claim
from worker.development import Development, PictureKey
from worker.engine.picture import Preview

MOST_WAITING = 64
"""Previews that wait for the thread; where Redis is slow or away, the next ones are dropped."""

logger = logging.getLogger(__name__)


class PreviewWriter:
    """Never waits, and loses what it cannot write: a preview is soon replaced by the next."""

    def __init__(self, connection: Redis):
        self._connection = connection
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="previews")
        self._room = BoundedSemaphore(MOST_WAITING)

    def write(self, claim: Claim, development: Development, preview: Preview) -> None:
        if self._room.acquire(blocking=False):
            self._pool.submit(self._write, claim, development, preview)

    def close(self) -> None:
        """Does not wait for what has not begun."""
        self._pool.shutdown(cancel_futures=True)

    def _write(self, claim: Claim, development: Development, preview: Preview) -> None:
        try:
            assert isinstance(preview.key, PictureKey)
            shown = development.show(preview.key, preview)
            write_preview(self._connection, claim.job_id, claim.execution.id, shown)
        except redis.RedisError as error:
            logger.debug("job %s: no preview: %s", claim.job_id, error)
        except Exception:
            logger.exception("job %s: no preview", claim.job_id)
        finally:
            self._room.release()
