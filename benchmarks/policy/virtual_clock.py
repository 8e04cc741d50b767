"""A clock on which waiting takes no time.

Where the device is a table, all time is made up: a run takes as long as its bookkeeping, and comes
out the same again. Where it is real, its work is measured and moves the clock; the time until the
next arrival is skipped.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class VirtualClock:
    """`now` is in seconds since the start of a run."""

    def __init__(self) -> None:
        self.now = 0.0

    def spend(self, seconds: float) -> None:
        self.now += seconds

    def skip_to(self, moment: float) -> None:
        """Never back."""
        self.now = max(self.now, moment)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """What is done inside takes as long here as it really does."""
        began = time.perf_counter()
        yield
        self.spend(time.perf_counter() - began)
