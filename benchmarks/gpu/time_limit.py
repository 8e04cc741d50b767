"""An end to what takes too long."""

import faulthandler
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_S = 20.0  # to end what was started, such as a service


class TimeIsUp(BaseException):
    """No Exception, since the engine takes those for the fault of a picture."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """For the main thread. Who waits for a device that never answers cannot be interrupted: then
    the process ends, GRACE_S later, and says where it was.

    Raises:
        TimeIsUp: it took longer.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeIsUp(f"it was not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
