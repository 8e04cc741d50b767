"""Pictures to bytes, to the store, to the job's commit: in threads, off the engine's loop."""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event, Lock
from typing import TypeVar

import redis
from redis import Redis

from contract import claims, endings, holders
from contract.connections import pause_s, translated
from contract.errors import (
    DarkroomError,
    EngineFault,
    ExecutionLost,
    RedisUnavailable,
    ServiceError,
    StoreUnavailable,
)
from contract.pictures.store import PictureStore, digest_of
from contract.progress import JobProgress, write_progress
from contract.transactions import Claim, was_cancelled
from worker.development import Development
from worker.engine.picture import Developed
from worker.job_ends import JobEnds
from worker.key_names import KeyNames
from worker.metrics import WorkerMetrics
from worker.storeroom import Storeroom

PROGRESS_INTERVAL_S = 0.25
PATIENCE_S = 60.0
"""How long a finished picture waits for a Redis that is away."""

STOP_S = 1.5
"""How long a stop lets pictures go to a slow store; what is not there then, another worker does."""

Outcome = TypeVar("Outcome")

logger = logging.getLogger(__name__)


class Publisher:
    """Ends jobs, and calls `ended` from one of its threads for each that is no more ours."""

    def __init__(
        self,
        connection: Redis,
        store: PictureStore,
        metrics: WorkerMetrics,
        ends: JobEnds,
        key_names: KeyNames,
        threads: int,
        ended: Callable[[Claim], None],
        lifetime_s: int,
    ):
        """
        Args:
            ended: called from one of the threads.
            lifetime_s: how long the store keeps a picture.
        """
        self._connection = connection
        self._metrics = metrics
        self._ends = ends
        self._key_names = key_names
        self._ended = ended
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="publish")
        self._progress_pool = ThreadPoolExecutor(1, thread_name_prefix="progress")
        self._progress: Future[None] | None = None
        self._progress_at = 0.0
        self._lifetime_s = lifetime_s
        self._behind = 0
        self._behind_lock = Lock()
        self._closing = Event()
        self._gave_up = Event()
        self._storeroom = Storeroom(store, self._closing)
        self._storeroom.keep_swept()

    @property
    def behind(self) -> int:
        """Pictures that are not stored yet: where they become many, the store is slow."""
        return self._behind

    def publish(self, claim: Claim, development: Development, developed: Developed) -> None:
        """Stores a picture of the job; the last one commits the job."""
        self._count(+1)
        self._pool.submit(self._publish, claim, development, developed)

    def fail(
        self, claim: Claim, error: DarkroomError, development: Development | None = None
    ) -> None:
        """Ends the job with an honest error.

        Args:
            development: what came of it until then, if it was begun.
        """
        self._pool.submit(self._fail, claim, error, development)

    def note_progress(self, jobs: Callable[[], Mapping[tuple[str, str], JobProgress]]) -> None:
        """Writes how far the jobs are, a few times a second at most; never waits."""
        now = time.perf_counter()
        busy = self._progress is not None and not self._progress.done()
        if busy or now - self._progress_at < PROGRESS_INTERVAL_S:
            return
        self._progress_at = now
        self._progress = self._progress_pool.submit(write_progress, self._connection, jobs())

    def close(self) -> None:
        """Waits for what is being published. A Redis that is away is asked once more, and then no
        more for anything."""
        self._storeroom.stop_by = time.perf_counter() + STOP_S
        self._closing.set()
        self._pool.shutdown()
        self._progress_pool.shutdown()
        self._storeroom.close()

    def _count(self, change: int) -> None:
        with self._behind_lock:
            self._behind += change

    def _publish(self, claim: Claim, development: Development, developed: Developed) -> None:
        try:
            if time.perf_counter() > self._storeroom.stop_by:
                self._could_not_store(claim, development, StoreUnavailable("The worker stops."))
            elif development.is_given_up:
                self._metrics.dropped(self._key_names.label(claim.owner), development)
            else:
                self._store(claim, development, developed)
        finally:
            self._count(-1)

    def _store(self, claim: Claim, development: Development, developed: Developed) -> None:
        try:
            content = development.encoded(developed)
            encoded_at = time.perf_counter()
            self._patiently(claim, partial(self._hold, claim, digest_of(content)))
            digest = self._patiently(
                claim, lambda: self._storeroom.put(content, development.stored)
            )
            result = development.store(developed, digest, len(content), encoded_at)
            if result is not None:
                if development.longest_pause_s > self._lifetime_s / 2:
                    self._store_again(claim, development)
                self._patiently(claim, lambda: endings.commit(claim, result))
                timeline = development.published()
                self._metrics.succeeded(timeline, self._key_names.label(claim.owner), development)
                self._ends.succeeded(claim, development, timeline)
                self._ended(claim)
        except StoreUnavailable as error:
            self._could_not_store(claim, development, error)
        except (ExecutionLost, ServiceError) as error:
            self._could_not_publish(claim, error, development)
        except Exception as error:
            logger.exception("job %s: its picture cannot be published", claim.job_id)
            fault = EngineFault(f"The picture could not be published: {error}")
            if development.give_up():  # else another picture of the job was first
                self._fail(claim, fault, development)

    def _hold(self, claim: Claim, digest: str) -> None:
        """So that nobody who deletes an equal picture deletes this one."""
        holders.hold_soon(self._connection, digest, claim.job_id, self._lifetime_s)

    def _store_again(self, claim: Claim, development: Development) -> None:
        """The first pictures of a job that took so long may have expired before the last."""
        for developed in development.kept:
            content = development.encoded(developed)
            self._patiently(claim, partial(self._storeroom.put, content, development.stored))

    def _fail(self, claim: Claim, error: DarkroomError, development: Development | None) -> None:
        try:
            self._patiently(claim, lambda: endings.fail(claim, error))
            self._metrics.failed(error.code, self._key_names.label(claim.owner), development)
            self._ends.failed(claim, development, error)
            self._ended(claim)
        except Exception as failure:
            self._could_not_publish(claim, failure, development)

    def _could_not_store(
        self, claim: Claim, development: Development, error: StoreUnavailable
    ) -> None:
        """An honest failure; but a worker that stops has not been patient, and others may be."""
        if not development.give_up():
            return  # another picture of the job was first
        if not self._closing.is_set():
            self._fail(claim, error, development)
            return
        try:
            claims.requeue([claim])
        except redis.RedisError as failure:
            logger.error("job %s waits for a sweep: %s", claim.job_id, failure)
        self._could_not_publish(claim, error, development)

    def _could_not_publish(
        self, claim: Claim, error: Exception, development: Development | None
    ) -> None:
        """The job was cancelled, or is left to whoever has it now, or to the sweep that finds it
        without an owner."""
        key = self._key_names.label(claim.owner)
        if self._was_cancelled(claim, error):
            self._metrics.cancelled(key, development)
            self._ends.cancelled(claim, development)
        else:
            self._metrics.lost(key, development)
            self._ends.lost(claim, development)
        if not isinstance(error, ExecutionLost):
            logger.error("job %s: could not be published", claim.job_id, exc_info=error)
        self._ended(claim)

    def _was_cancelled(self, claim: Claim, error: Exception) -> bool:
        """False where Redis is away: then nobody knows."""
        if not isinstance(error, ExecutionLost):
            return False
        try:
            return was_cancelled(claim, self._connection)
        except redis.RedisError:
            return False

    def _patiently(self, claim: Claim, call: Callable[[], Outcome]) -> Outcome:
        """Repeats a call that is safe to repeat while Redis is away or full, within PATIENCE_S.

        Raises:
            ServiceError: Redis did not come back in time.
            StoreUnavailable: the store, where it is not Redis, did not either.
        """
        give_up_at = time.perf_counter() + PATIENCE_S
        failures = 0
        while not self._gave_up.is_set():
            try:
                with translated():
                    return call()
            except StoreUnavailable:
                raise  # the storeroom was patient already
            except ServiceError as error:
                failures += 1
                if failures == 1:
                    logger.warning("job %s: its end waits for Redis: %s", claim.job_id, error)
                if time.perf_counter() > give_up_at:
                    raise
                if self._closing.is_set():
                    self._gave_up.set()
                self._closing.wait(pause_s(failures))
        raise RedisUnavailable("The worker stops, and Redis is away.")
