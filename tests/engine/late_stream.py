"""A device that is late: the host computes, but is not told before it waits or has waited enough.

What is on its way to the host is rubbish until then, so that whoever reads it too early is found.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

import torch
from torch import Tensor

from worker.engine.blame import DeviceFailed
from worker.engine.stream import HostMoment, Moment


class LateMoment(HostMoment):
    __slots__ = ("_stream", "is_aside", "is_reached", "number")

    def __init__(self, stream: "LateStream", number: int, is_aside: bool) -> None:
        super().__init__()
        self._stream = stream
        self.number = number
        self.is_aside = is_aside
        self.is_reached = False

    @property
    def is_past(self) -> bool:  # type: ignore[override]
        if not self.is_reached and self._stream.marks >= self.number + self._stream.delay:
            self._stream.reach(self)
        return self.is_reached

    def wait(self) -> None:
        if not self.is_past:
            self._stream.waits += 1
            self._stream.reach(self)


class LateStream:
    """A moment is past as soon as `delay` more have been marked after it; or when it is waited for,
    or one that comes after it.

    `waits` counts how often the host had to. `fails`, once set, is what the device died of.
    """

    lead = 1

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self.marks = 0
        self.waits = 0
        self.fails = ""
        self._is_aside = False
        self._lock = RLock()  # threads wait for what they want to write
        self._moments: list[LateMoment] = []
        self._copies: list[tuple[LateMoment, Callable[[], object]]] = []

    def mark(self) -> Moment:
        with self._lock:
            self.marks += 1
            moment = LateMoment(self, self.marks, self._is_aside)
            self._moments.append(moment)
            return moment

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._is_aside = True
        try:
            yield
        finally:
            self._is_aside = False

    def download(self, tensor: Tensor) -> Tensor:
        host = torch.full(tensor.shape, 77, dtype=torch.uint8).to(tensor.dtype)
        whole = LateMoment(self, self.marks + 1, self._is_aside)
        with self._lock:
            self._copies.append((whole, lambda: host.copy_(tensor)))
        return host

    def reach(self, moment: LateMoment) -> None:
        """What is aside comes after all that was asked for before it; the steps go on without."""
        if self.fails:
            raise DeviceFailed(self.fails)

        def is_before(each: LateMoment) -> bool:
            return each.number <= moment.number and (moment.is_aside or not each.is_aside)

        with self._lock:
            for whole, copy in self._copies:
                if is_before(whole):
                    copy()
            self._copies = [each for each in self._copies if not is_before(each[0])]
            for each in filter(is_before, self._moments):
                each.is_reached = True
            self._moments = [each for each in self._moments if not each.is_reached]
