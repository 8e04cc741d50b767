import signal
import sys
from types import FrameType
from typing import Any

from tests.waiting import LIMIT_S
from worker.stop_flag import StopFlag

LINES = 8  # of `wait` and what it calls, where a signal can come


def test_a_raised_flag_ends_every_wait_at_once() -> None:
    flag = StopFlag()
    assert not flag.is_set()
    assert not flag.wait(0.001)
    flag.set()
    assert flag.is_set()
    assert flag.wait(LIMIT_S)
    assert flag.wait(LIMIT_S)


def test_a_signal_handler_may_raise_it_at_any_line_of_a_wait() -> None:
    """A `threading.Event` hangs here as soon as a signal comes while it holds its own lock."""
    flag = StopFlag()
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: flag.set())
    try:
        for line in range(LINES):
            flag = StopFlag()
            _wait_with_signal_at(line, flag)
            assert flag.is_set()
    finally:
        signal.signal(signal.SIGUSR1, before)


def _wait_with_signal_at(line: int, flag: StopFlag) -> None:
    """Raises SIGUSR1 before so many lines of `wait` and of what it calls have run."""
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if event == "line":
            if left == 0:
                signal.raise_signal(signal.SIGUSR1)
            left -= 1
        return trace

    sys.settrace(trace)
    try:
        flag.wait(0.001)
    finally:
        sys.settrace(None)
