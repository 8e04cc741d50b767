"""What is recorded, replayed and forgotten. The pool here replays by calling the function again;
that CUDA graphs do the same is shown in tests/gpu."""

import logging
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from worker.engine.recorder import Function, Pool, Recorder, Recording


@dataclass(frozen=True)
class HostRecording(Recording):
    function: Function = field(kw_only=True)

    def replay(self, arguments: tuple[Tensor, ...]) -> Tensor:
        return self.function(*arguments)


class HostPool(Pool):
    """Has room for recordings of up to `room` numbers."""

    room = 10**9

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def record(self, function: Function, arguments: tuple[Tensor, ...]) -> Recording:
        size = arguments[0].numel()
        if size > self.room:
            raise torch.OutOfMemoryError("no room")
        self.sizes.append(size)
        return HostRecording(None, arguments, arguments[0], function=function)  # type: ignore[arg-type]


@pytest.fixture
def pools() -> list[HostPool]:
    return []


@pytest.fixture
def recorder(pools: list[HostPool]) -> Recorder:
    def pool() -> HostPool:
        pools.append(HostPool())
        return pools[-1]

    return Recorder(double, most=4, pool=pool)


def double(number: Tensor) -> Tensor:
    return 2 * number


def call(recorder: Recorder, *sizes: int, times: int = 3) -> None:
    for size in sizes:
        for _ in range(times):
            assert torch.equal(recorder(torch.ones(size)), torch.full((size,), 2.0))


def test_the_second_call_is_recorded(recorder: Recorder, pools: list[HostPool]) -> None:
    call(recorder, 5, times=1)
    assert recorder.recorded == 0
    call(recorder, 5, times=5)
    assert pools[-1].sizes == [5]


def test_a_pool_begins_with_its_largest_recording(
    recorder: Recorder, pools: list[HostPool]
) -> None:
    """A larger one begins another, where the smaller are recorded again as they are called."""
    call(recorder, 3, 2, 5, 3, 2)
    assert [pool.sizes for pool in pools if pool.sizes] == [[3, 2], [5, 3, 2]]
    assert recorder.recorded == 3


def test_nothing_is_recorded_in_a_pool_that_has_lost_all_its_recordings(
    recorder: Recorder, pools: list[HostPool]
) -> None:
    """CUDA would refuse it."""
    call(recorder, 9)
    call(recorder, 1, 2, 3, 4, times=1)
    assert recorder.recorded == 0
    call(recorder, 4)
    assert [pool.sizes for pool in pools if pool.sizes] == [[9], [4]]


def test_what_memory_has_no_room_for_is_only_called(
    recorder: Recorder,
    pools: list[HostPool],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(HostPool, "room", 5)
    with caplog.at_level(logging.WARNING):
        call(recorder, 4, 6, 7, 4)
    assert [pool.sizes for pool in pools if pool.sizes] == [[4], [4]]
    assert caplog.text.count("no memory") == 1


def test_recordings_make_room_for_a_call() -> None:
    def needy(number: Tensor) -> Tensor:
        if len(number) == 7 and recorder.recorded:
            raise torch.OutOfMemoryError("no room beside recordings")
        return double(number)

    recorder = Recorder(needy, pool=HostPool)
    call(recorder, 3, 2)
    assert recorder.recorded == 2
    call(recorder, 7, times=1)
    assert recorder.recorded == 0


def test_who_finds_no_room_without_recordings_is_told() -> None:
    def never(number: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no room")

    recorder = Recorder(never, pool=HostPool)
    for _ in range(3):
        with pytest.raises(torch.OutOfMemoryError):
            recorder(torch.ones(3))
