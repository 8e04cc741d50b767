"""A device that is late: the host computes, but is not told before it waits or has waited enough.

What is on its way to the host is rubbish until then, so that whoever reads it too early is found.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from worker.engine.blame import DeviceFailed
from worker.engine.stream import HostMoment, Moment


class LateMoment(HostMoment):
    __slots__ = ("_stream", "due", "is_over")

    def __init__(self, stream: "LateStream") -> None:
        super().__init__()
        self._stream = stream
        self.due = stream.marks + stream.delay
        self.is_over = False

    @property
    def is_past(self) -> bool:  # type: ignore[override]
        if not self.is_over and self._stream.marks >= self.due:
            self._stream.reach(self)
        return self.is_over

    def wait(self) -> None:
        if not self.is_past:
            self._stream.waits += 1
            self._stream.reach(self)


class LateStream:
    """A moment is past as soon as `delay` more have been marked after it; or when it is waited for.

    `waits` counts how often the host had to. `fails`, once set, is what the device died of.
    """

    lead = 1

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self.marks = 0
        self.waits = 0
        self.fails = ""
        self._moments: list[LateMoment] = []
        self._copies: list[tuple[int, Callable[[], object]]] = []

    def mark(self) -> Moment:
        self.marks += 1
        moment = LateMoment(self)
        self._moments.append(moment)
        return moment

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def download(self, tensor: Tensor) -> Tensor:
        host = torch.full(tensor.shape, 77, dtype=torch.uint8).to(tensor.dtype)
        self._copies.append((self.marks, lambda: host.copy_(tensor)))
        return host

    def reach(self, moment: LateMoment) -> None:
        """All before it is done."""
        if self.fails:
            raise DeviceFailed(self.fails)
        count = self._moments.index(moment) + 1
        for each in self._moments[:count]:
            each.is_over = True
        for marks, copy in self._copies:
            if marks < count:
                copy()
        self._copies = [each for each in self._copies if each[0] >= count]
