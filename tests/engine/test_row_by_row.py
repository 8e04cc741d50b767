"""Where a row stands in a call changes no bit of it, however many threads share the work."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engine.conftest import CPU
from tests.engine.test_compiled import unet_arguments
from worker.engine.model import Model, call_unet, load_model
from worker.engine.row_by_row import part_rows

ROWS = 6


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def parted(checkpoint: Path) -> Model:
    model = load_model(checkpoint, CPU, torch.float32)
    part_rows(model.unet)
    return model


@torch.inference_mode()
@pytest.mark.parametrize("size", [(8, 8), (8, 12), (9, 9)])
def test_a_row_is_the_same_at_any_place(parted: Model, size: tuple[int, int]) -> None:
    call = call_unet(parted.unet)
    given = unet_arguments(parted, ROWS, size)
    expected = call(*given)
    for turn in range(1, ROWS):
        turned = call(*(each.roll(turn, dims=0) for each in given))
        assert torch.equal(turned.roll(-turn, dims=0), expected)


@torch.inference_mode()
def test_answers_are_the_same_within_rounding(parted: Model, tiny: Model) -> None:
    given = unet_arguments(tiny, ROWS, (8, 8))
    assert torch.allclose(call_unet(parted.unet)(*given), call_unet(tiny.unet)(*given), atol=1e-5)
