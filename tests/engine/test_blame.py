"""Whether a failure is the picture's or the device's."""

import pytest
import torch
from torch import Tensor, nn

from contract.errors import EngineFault, OutOfMemory
from tests.engine.company import Arrival, develop_together
from tests.reference import Wish
from worker.engine.blame import DeviceFailed, blame, fault
from worker.engine.engine import Engine
from worker.engine.model import Model


def test_a_device_that_works_for_others_leaves_the_blame_with_the_picture(tiny: Model) -> None:
    assert isinstance(blame(tiny, RuntimeError("a kernel failed")), EngineFault)


def test_a_device_that_is_lost_is_no_pictures_fault(tiny: Model) -> None:
    with pytest.raises(DeviceFailed, match="illegal memory access"):
        blame(tiny, torch.AcceleratorError("CUDA error: an illegal memory access"))


@pytest.mark.parametrize("pictures", [1, 3])
def test_no_picture_fails_where_all_of_them_would(engine: Engine, pictures: int) -> None:
    """As where another process has taken the device's memory."""

    def refuse(unet: nn.Module, args: tuple[Tensor, ...]) -> None:
        raise torch.OutOfMemoryError("out of memory")

    handle = engine.model.unet.register_forward_pre_hook(refuse)
    try:
        with pytest.raises(DeviceFailed, match="out of memory"):
            develop_together(engine, [Arrival(Wish(steps=2, seed=n)) for n in range(pictures)])
    finally:
        handle.remove()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_lack_of_memory_is_told_apart(error: Exception) -> None:
    assert isinstance(fault(error), OutOfMemory)


def test_a_fault_without_a_text_is_named_by_its_class() -> None:
    assert str(fault(RuntimeError())) == "The engine failed on this picture: RuntimeError"
