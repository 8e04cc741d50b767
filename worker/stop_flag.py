"""A flag that a signal handler may raise while the main thread waits for it."""

from contextlib import suppress
from queue import Empty, SimpleQueue


class StopFlag:
    """As `threading.Event`, whose lock is not reentrant: a handler that comes while the main thread
    holds it, on the way into a wait or out of it, would wait for itself for ever. What is used
    here is reentrant (`SimpleQueue.put`) or one assignment."""

    def __init__(self) -> None:
        self._is_set = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._is_set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout_s: float) -> bool:
        """Returns whether the flag was raised within that time. For one thread only."""
        if not self._is_set:
            with suppress(Empty):
                self._wake.get(timeout=timeout_s)
        return self._is_set
