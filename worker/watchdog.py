"""Ends a worker whose device hangs: no exception comes of that, and nobody else would notice."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h

logger = logging.getLogger(__name__)


class Watchdog:
    """Watches the steps of one thread from another one."""

    def __init__(self, limit_s: float):
        self._limit_s = limit_s
        self._began_at: float | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """What happens in here must end in time."""
        self._began_at = time.monotonic()
        try:
            yield
        finally:
            self._began_at = None

    def look(self) -> None:
        """Ends the process at once if a step takes too long; its leases run out by themselves."""
        began_at = self._began_at
        if began_at is not None and time.monotonic() - began_at > self._limit_s:
            logger.critical("a step takes more than %g s; this worker ends", self._limit_s)
            os._exit(EXIT_CODE)
