"""What a CPU asks of itself is done when it is asked; what a GPU does is in tests/gpu."""

import torch

from worker.engine.stream import HostStream, stream_of


def test_on_a_cpu_all_is_done_when_it_is_asked_for() -> None:
    stream = stream_of(torch.device("cpu"))
    assert isinstance(stream, HostStream)
    assert stream.lead == 0
    first, second = stream.mark(), stream.mark()
    second.wait()
    assert first.is_past
    assert second.is_past
    assert second.since(first) == second.at - first.at > 0


def test_on_a_cpu_nothing_is_copied() -> None:
    tensor, stream = torch.arange(3.0), HostStream()
    with stream.aside():
        assert stream.download(tensor).data_ptr() == tensor.data_ptr()
