"""Replayed U-Net calls are the calls that they were recorded from, bit for bit."""

import logging
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from worker.engine.model import Model
from worker.engine.recorder import Recorder


def arguments(model: Model, rows: int, seed: int, height: int = 16) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    width = model.unet.config.cross_attention_dim
    return (
        torch.randn(rows, model.latent_channels, height, 16, generator=random).cuda(),
        (torch.rand(rows, generator=random) * 999).cuda(),
        torch.randn(rows, model.token_limit, width, generator=random).cuda().half(),
    )


@torch.inference_mode()
def test_a_replay_gives_the_very_bits_of_the_call(half: Model, plain: Model) -> None:
    for rows, height in ((8, 16), (3, 16), (2, 24), (2, 16)):
        for seed in range(4):
            given = arguments(half, rows, seed, height)
            assert torch.equal(half.predict(*given), plain.predict(*given))
    assert isinstance(half.unet_call, Recorder)
    assert half.unet_call.recorded >= 4


@torch.inference_mode()
def test_what_came_back_is_not_overwritten_by_the_next_call() -> None:
    double = Recorder(lambda number: 2 * number)
    answers = [double(torch.full((3,), float(n), device="cuda")) for n in range(5)]
    assert [float(answer[0]) for answer in answers] == [0.0, 2.0, 4.0, 6.0, 8.0]


@torch.inference_mode()
def test_what_cannot_be_recorded_is_still_called(caplog: pytest.LogCaptureFixture) -> None:
    def peek(number: Tensor) -> Tensor:
        return number * float(number.sum())  # the host waits for the device

    recorder = Recorder(peek)
    with caplog.at_level(logging.WARNING):
        for n in range(1, 5):
            number = torch.full((2,), float(n), device="cuda")
            assert torch.equal(recorder(number), number * 2 * n)
    assert recorder.recorded == 0
    assert caplog.text.count("not recorded") == 1
    assert torch.cuda.current_stream() == torch.cuda.default_stream()


@torch.inference_mode()
def test_recordings_of_all_sizes_take_no_more_than_the_largest() -> None:
    """In whatever order they come."""

    def grow(number: Tensor) -> Tensor:
        return (number.repeat(64) * 2).view(64, -1).sum(0)

    def held(sizes: Sequence[int]) -> int:
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved()
        recorder = Recorder(grow)
        for size in sizes:
            for _ in range(3):
                recorder(torch.ones(size * 50_000, device="cuda"))
        torch.cuda.empty_cache()
        assert recorder.recorded > 0
        return torch.cuda.memory_reserved() - before

    sizes = range(1, 13)
    assert held(sizes) < 1.5 * held(sizes[-1:])


@torch.inference_mode()
def test_only_so_many_recordings_are_kept() -> None:
    recorder = Recorder(lambda number: number + 1, most=3)
    for size in (5, 4, 3, 2, 1):
        for _ in range(3):
            assert float(recorder(torch.zeros(size, device="cuda"))[0]) == 1.0
    assert recorder.recorded == 3
