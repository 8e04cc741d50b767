"""What is around the U-Net in a step, against the sums that it stands for, and as one kernel."""

import shutil

import pytest
import torch
from torch import Tensor
from torch._inductor import metrics

from worker.engine.guidance import guide, pairs_of
from worker.engine.sampler import HISTORY, PROGRAM_WIDTH
from worker.engine.solver import Compiled, advance, filled, rehearse, scale

CELLS = (4, 16, 16)
WIDE = (4, 8, 24)


def given(
    pictures: int, guided: int, *, draws: bool = True, cells: tuple[int, ...] = CELLS
) -> list[Tensor]:
    """What `advance` takes."""
    source = torch.Generator().manual_seed(10 * pictures + guided)

    def drawn(*size: int) -> Tensor:
        return torch.randn(*size, generator=source)

    arguments = [
        drawn(pictures, PROGRAM_WIDTH),
        drawn(pictures, 2 * HISTORY, *cells),
        drawn(guided + pictures, *cells),
        pairs_of(guided, pictures),
        drawn(pictures, 1, 1, 1),
    ]
    return [*arguments, drawn(pictures, *cells)] if draws else arguments


def test_a_step_is_the_sum_that_its_program_says() -> None:
    current, past, answers, pairs, guidance, fresh = given(3, 2)
    latents, outputs = past[:, :HISTORY], past[:, HISTORY:]
    told = torch.cat([guide(answers, pairs, guidance)[:, None], outputs[:, :-1]], dim=1)
    terms = torch.cat([latents, told, fresh[:, None]], dim=1)
    expected = torch.einsum("pk,pk...->p...", current[:, 2:], terms)
    after = advance(current, past, answers, pairs, guidance, fresh)
    torch.testing.assert_close(after[:, 0], expected)
    assert torch.equal(after[:, 1:HISTORY], latents[:, :-1])
    assert torch.equal(after[:, HISTORY:], told)


def test_who_draws_nothing_needs_no_noise() -> None:
    arguments = given(3, 2)
    arguments[-1] = torch.zeros_like(arguments[-1])
    assert torch.equal(advance(*arguments), advance(*arguments[:-1]))


def test_the_unet_sees_the_latest_latents_as_the_sampler_asks() -> None:
    current, past, *_ = given(2, 0)
    assert torch.equal(scale(current, past)[1], past[1, 0] * current[1, 1])


@pytest.mark.parametrize(("guided", "draws"), [(3, True), (3, False), (1, True), (0, False)])
def test_what_is_recorded_has_one_shape_for_each_number_of_pictures(
    guided: int, draws: bool
) -> None:
    arguments = given(3, guided, draws=draws)
    whole = filled(*arguments)
    assert [each.shape for each in whole] == [each.shape for each in given(3, 3)]
    assert torch.equal(advance(*whole), advance(*arguments))


@pytest.mark.parametrize("pictures", [2, 3, 5, 8, 16])
def test_company_changes_no_bit_of_a_step(pictures: int) -> None:
    arguments = given(pictures, pictures)
    together = advance(*arguments)
    current, past, answers, pairs, guidance, fresh = arguments
    for n in range(pictures):
        one = slice(n, n + 1)
        alone = advance(
            current[one],
            past[one],
            answers[pairs[n]],
            pairs_of(1, 1),
            guidance[one],
            fresh[one],
        )
        assert torch.equal(alone[0], together[n])


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, as it loads inductor
@torch.inference_mode()
def test_compiled_it_is_one_kernel_for_any_number_of_pictures_of_any_size() -> None:
    torch._dynamo.reset()
    compiled = Compiled(advance)
    metrics.reset()
    rehearse(compiled, CELLS[0], CELLS[1:], torch.device("cpu"))
    assert metrics.generated_kernel_count == 1
    for pictures, guided in ((5, 3), (1, 1), (16, 16), (2, 0), (1, 0), (7, 1)):
        for draws in (True, False):
            for cells in (CELLS, WIDE):
                arguments = given(pictures, guided, draws=draws, cells=cells)
                torch.testing.assert_close(compiled(*arguments), advance(*arguments))
    assert metrics.generated_kernel_count == 1
