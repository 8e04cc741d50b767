"""A picture store as a worker uses it: with patience, and swept now and then."""

import logging
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

from contract.connections import pause_s
from contract.errors import StoreUnavailable
from contract.pictures.store import PictureStore, reason

PATIENCE_S = 60.0
"""How long a store may fail until jobs fail for it. It counts from the first failure on, whichever
picture met it: else what waits would become more and more while the store is away. And it counts
for each picture by itself, which may be the only one that the store does not take."""

ANSWER_S = 15.0
"""How long one attempt may take."""

LOOK_UP_S = 0.1
"""How soon a wait for an answer notices that the worker stops."""

MOST_HUNG = 16
"""Threads that a store may keep; with so many it is not asked until one of them comes back."""

SWEEP_INTERVAL_S = 30.0

logger = logging.getLogger(__name__)


class Storeroom:
    """Safe for several threads. `closing` ends all waiting."""

    def __init__(self, store: PictureStore, closing: Event):
        self._store = store
        self._closing = closing
        self.stop_by = float("inf")
        """When a worker that stops waits for no store any more, by time.perf_counter()."""
        self._failing_since = 0.0
        self._failed_at = float("-inf")
        self._hung: list[Thread] = []
        self._hung_lock = Lock()

    def put(self, content: bytes, siblings: Sequence[str] = ()) -> str:
        """Keeps the bytes and returns their digest.

        Args:
            siblings: pictures of the same job that are here already: all of them shall expire
                together, after the job's end.

        Raises:
            StoreUnavailable: the store has failed for PATIENCE_S, or fails while the worker stops.
        """
        failures, failing_since = 0, float("inf")
        while True:
            try:
                digest = self._attempt(content, siblings)
            except StoreUnavailable as error:
                failing_since = min(failing_since, time.perf_counter())
                if self._is_out_of_patience(error, failing_since):
                    raise
                failures += 1
                self._closing.wait(pause_s(failures))
            else:
                self._failed_at = float("-inf")
                return digest

    def _attempt(self, content: bytes, siblings: Sequence[str]) -> str:
        """In a thread of its own, which a store that hangs may keep: its caller goes on."""
        outcome: SimpleQueue[str | Exception] = SimpleQueue()

        def attempt() -> None:
            try:
                digest = self._store.put(content)
                self._store.renew(siblings)
                outcome.put(digest)
            except Exception as error:
                outcome.put(error)

        with self._hung_lock:
            self._hung = [thread for thread in self._hung if thread.is_alive()]
            if len(self._hung) >= MOST_HUNG:
                raise StoreUnavailable("The picture store hangs.")
        thread = Thread(target=attempt, name="put", daemon=True)
        thread.start()
        try:
            came = self._answer(outcome)
        except Empty:
            with self._hung_lock:
                self._hung.append(thread)
            raise StoreUnavailable("The picture store does not answer.") from None
        if isinstance(came, Exception):
            raise came
        return came

    def _answer(self, outcome: "SimpleQueue[str | Exception]") -> str | Exception:
        """
        Raises:
            queue.Empty: none came in time; a worker that stops does not wait for long.
        """
        until = time.perf_counter() + ANSWER_S
        while True:
            left = min(until, self.stop_by) - time.perf_counter()
            try:
                return outcome.get(timeout=max(0.0, min(left, LOOK_UP_S)))
            except Empty:
                if left <= 0:
                    raise

    def keep_swept(self) -> None:
        """Sweeps from a thread of its own until `closing`."""
        Thread(target=self._keep_swept, name="storeroom", daemon=True).start()

    def close(self) -> None:
        self._store.close()

    def _is_out_of_patience(self, error: StoreUnavailable, failing_since: float) -> bool:
        now = time.perf_counter()
        if now - self._failed_at > PATIENCE_S:  # not the same outage
            self._failing_since = now
            logger.warning("pictures wait for their store: %s", reason(error))
        self._failed_at = now
        failing_since = min(failing_since, self._failing_since)
        return self._closing.is_set() or now - failing_since > PATIENCE_S

    def _keep_swept(self) -> None:
        while not self._closing.is_set():
            try:
                self._store.sweep()
            except Exception as error:
                logger.warning("the picture store is not swept: %s", error, exc_info=error)
            self._closing.wait(SWEEP_INTERVAL_S)
