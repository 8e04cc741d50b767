"""Events and the second stream, on which nothing waits and nothing is read too early."""

import time

import pytest
import torch

from worker.engine.device import upload
from worker.engine.stream import CudaStream

CYCLES = 100_000_000  # some 50 ms of a GPU
CLOCKS_S = 0.005


@pytest.fixture
def stream() -> CudaStream:
    return CudaStream(torch.device("cuda"))


def test_a_moment_is_past_when_the_device_has_done_all_before_it(stream: CudaStream) -> None:
    before = time.perf_counter()
    began = stream.mark()
    torch.cuda._sleep(CYCLES)
    ended = stream.mark()
    assert not ended.is_past
    ended.wait()
    now = time.perf_counter()
    assert began.is_past
    assert ended.is_past
    assert before - CLOCKS_S < began.at < ended.at <= now
    assert ended.since(began) == pytest.approx(ended.at - began.at, abs=CLOCKS_S)


def test_what_is_asked_for_aside_holds_up_nothing_but_what_comes_after_it(
    stream: CudaStream,
) -> None:
    numbers = torch.zeros(1000, device="cuda")
    numbers += 1
    with stream.aside():
        torch.cuda._sleep(CYCLES)
        copied = stream.download(numbers)
        aside = stream.mark()
    numbers = numbers * 2
    main = stream.mark()
    main.wait()
    assert not aside.is_past
    aside.wait()
    assert copied.tolist() == [1.0] * 1000
    assert copied.is_pinned()
    assert numbers.tolist() == [2.0] * 1000


def test_uploads_and_downloads_do_not_wait(stream: CudaStream) -> None:
    torch.cuda._sleep(CYCLES)
    device = torch.device("cuda")
    sent = [upload(torch.full((1000,), float(n)), device) for n in range(50)]
    back = [stream.download(each) for each in sent]
    ended = stream.mark()
    assert not ended.is_past
    ended.wait()
    assert [float(each[0]) for each in back] == [float(n) for n in range(50)]


def test_nothing_is_copied_of_nothing(stream: CudaStream) -> None:
    assert stream.download(torch.zeros(0, 4, device="cuda")).shape == (0, 4)
