"""Looks for what other workers let down, from a thread of its own: however long that takes over a
slow Redis, the heartbeat does not wait for it."""

import logging
import time
from collections.abc import Callable
from functools import partial
from threading import Event, Thread

import redis
from rq import Queue, worker_registration
from rq.registry import clean_registries

from contract import leases
from contract.sweep import GivenUp, sweep

INTERVAL_S = 3.0
MAINTENANCE_INTERVAL_S = 30.0
MAINTENANCE_LOCK_S = 25

logger = logging.getLogger(__name__)


class Sweeper:
    """Every three seconds what dead workers left behind goes back into the queue, and now and then
    RQ's own sweep is run."""

    def __init__(
        self,
        queue: Queue,
        is_due: Callable[[], bool],
        recovered: Callable[[], None],
        given_up: GivenUp,
    ):
        """
        Args:
            is_due: whether leases that have run out tell of dead workers, and not of an outage.
            recovered: called for each job that was found.
            given_up: called for each of these that has failed, as it takes workers down.
        """
        self._queue = queue
        self._is_due = is_due
        self._recovered, self._given_up = recovered, given_up
        self._stop = Event()
        self._thread = Thread(target=self._run, name="sweeper", daemon=True)
        self._maintained_at = float("-inf")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Does not wait: a sweep moves one job after another, each whole or not at all."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._is_due():
                    self._sweep()
            except redis.RedisError as error:
                logger.debug("no sweep: %s", error)  # the heartbeat says that Redis is away
            except Exception:
                logger.exception("no sweep")
            self._stop.wait(INTERVAL_S)

    def _sweep(self) -> None:
        for job_id in sweep(self._queue, self._given_up):
            self._recovered()
            logger.info("job %s is back in the queue", job_id)
        self._maintain()

    def _maintain(self) -> None:
        """RQ's sweep, by one worker at a time. Its own lock would outlive a sweep that failed or
        was killed by a quarter of an hour, and nobody's orphans would be found meanwhile."""
        if time.monotonic() - self._maintained_at < MAINTENANCE_INTERVAL_S:
            return
        if leases.is_guarded(self._queue):
            return  # RQ's leases may have run out as well, and are being renewed
        self._maintained_at = time.monotonic()
        queue = self._queue
        if queue.connection.set(f"darkroom:sweep:{queue.name}", 1, nx=True, ex=MAINTENANCE_LOCK_S):
            for clean in (
                partial(clean_registries, queue),
                partial(worker_registration.clean_worker_registry, queue),
            ):
                try:
                    clean()
                except Exception:  # one bad record must not hide the others
                    logger.exception("a part of the sweep failed")
