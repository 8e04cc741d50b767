"""When what was asked of a device is done.

A GPU works on its own: calls return before their work is done, and the host can ask for the next
step while it is at the last one. A CPU's calls return when they are done, so that all there is here
costs nothing on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol, Self

import torch
from torch import Tensor

from worker.engine.blame import DeviceFailed


class Moment(Protocol):
    """A point in the order of what was asked of a device. It is past when all before it is done."""

    @property
    def is_past(self) -> bool:
        """
        Raises:
            DeviceFailed: some of what was asked failed.
        """

    def wait(self) -> None:
        """Until it is past.

        Raises:
            DeviceFailed: some of what was asked failed.
        """

    @property
    def at(self) -> float:
        """When it was, as time.perf_counter reads; it must be past."""

    def since(self, earlier: Self) -> float:
        """Seconds of the device between the two; both must be past."""


class Stream(Protocol):
    """An order of work on a device: the steps. `aside` is a second one, for what no step needs."""

    lead: int
    """How many steps may be asked for and not be done."""

    def mark(self) -> Moment:
        """The present end of what was asked for."""

    def aside(self) -> AbstractContextManager[None]:
        """What is asked for in it comes after all that was asked for before, and does not hold up
        what is asked for later. Tensors that it reads must be kept until it is done."""

    def download(self, tensor: Tensor) -> Tensor:
        """The tensor on the host, which is whole once a moment that is marked later is past."""


def stream_of(device: torch.device) -> Stream:
    return CudaStream(device) if device.type == "cuda" else HostStream()


class HostMoment:
    """Is past as soon as it is there."""

    __slots__ = ("at",)
    is_past = True

    def __init__(self) -> None:
        self.at = time.perf_counter()

    def wait(self) -> None:
        return None

    def since(self, earlier: HostMoment) -> float:
        return self.at - earlier.at


class HostStream:
    """The host computes itself."""

    lead = 0

    def mark(self) -> Moment:
        return HostMoment()

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def download(self, tensor: Tensor) -> Tensor:
        return tensor.cpu()


class CudaMoment:
    """An event. The host sleeps while it waits for one, and leaves its core to others."""

    def __init__(self, stream: CudaStream) -> None:
        self.event = torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
        self.event.record()
        self._stream = stream
        self._at: float | None = None

    @property
    def is_past(self) -> bool:
        try:
            return bool(self.event.query())  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise DeviceFailed(str(error)) from error

    def wait(self) -> None:
        if not self.is_past:
            self.tell()

    def tell(self) -> None:
        """Waits, and looks at the host's clock."""
        try:
            self.event.synchronize()
        except RuntimeError as error:
            raise DeviceFailed(str(error)) from error
        self._at = time.perf_counter()

    @property
    def at(self) -> float:
        """Of the host's clock where it waited; else told from the last one that was asked for."""
        if self._at is None:
            self._at = self._stream.anchor.at + self.since(self._stream.anchor)
        self._stream.anchor = self
        return self._at

    def since(self, earlier: CudaMoment) -> float:
        return float(earlier.event.elapsed_time(self.event)) / 1000


class CudaStream:
    """Steps on the current stream, what no step needs on one of its own.

    The second stream's memory is apart from the first's: what was allocated in `aside` goes back to
    it when Python forgets it, and what it reads from the first must not be forgotten before it is
    done, or the next step would write over it.
    """

    lead = 1

    def __init__(self, device: torch.device) -> None:
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self.anchor = CudaMoment(self)
        """Whose time is known by both clocks, which drift apart by some ms in an hour."""
        self.anchor.tell()

    def mark(self) -> CudaMoment:
        return CudaMoment(self)

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            yield

    def download(self, tensor: Tensor) -> Tensor:
        if tensor.numel() == 0:
            return tensor.new_empty(tensor.shape, device="cpu")
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return host.copy_(tensor.contiguous(), non_blocking=True)
