"""What is around the U-Net in a step, in one launch of a GPU."""

import pytest
import torch
from torch._inductor import metrics

from tests.engine.test_solver import CELLS, WIDE, given
from worker.engine.solver import Compiled, Recorded, advance, rehearse

MIXES = ((5, 3), (1, 1), (16, 16), (2, 0), (1, 0), (5, 5))


@torch.inference_mode()
def test_recorded_it_gives_the_very_bits_of_the_call() -> None:
    recorded = Recorded()
    for _ in range(3):
        for pictures, guided in MIXES:
            for draws in (True, False):
                arguments = [each.cuda() for each in given(pictures, guided, draws=draws)]
                assert torch.equal(recorded(*arguments), advance(*arguments))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, as it loads inductor
@torch.inference_mode()
def test_compiled_it_is_one_kernel() -> None:
    torch._dynamo.reset()
    metrics.reset()
    compiled = Compiled(advance)
    rehearse(compiled, CELLS[0], CELLS[1:], torch.device("cuda"))
    for pictures, guided in MIXES:
        for cells in (CELLS, WIDE):
            arguments = [each.cuda() for each in given(pictures, guided, cells=cells)]
            torch.testing.assert_close(compiled(*arguments), advance(*arguments))
    assert metrics.generated_kernel_count == 1
