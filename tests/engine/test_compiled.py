"""What is compiled once serves any number of rows. The backend here runs torch's graphs as they
are; inductor is tried once, where it is slow."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor
from torch.fx import GraphModule

from tests.engine.company import Arrival, assert_exact, develop_together
from tests.engine.conftest import CPU, References
from tests.reference import Wish
from worker.compilation import warm_up
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.compiled import CompiledOneByOne, CompiledRows
from worker.engine.engine import Engine
from worker.engine.model import Model, call_unet, call_vae, load_model, prepare
from worker.engine.row_plan import PlannedRows, RowPlan
from worker.engine.solver import Compiled, advance


class Backend:
    """Counts what it is asked to compile."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        self.graphs += 1
        return graph.forward


@pytest.fixture
def backend() -> Backend:
    torch._dynamo.reset()
    return Backend()


def unet_arguments(model: Model, rows: int, size: tuple[int, int]) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(rows)
    width = model.unet.config.cross_attention_dim
    return (
        torch.randn(rows, model.latent_channels, *size, generator=random),
        torch.rand(rows, generator=random) * 999,
        torch.randn(rows, model.token_limit, width, generator=random),
    )


@torch.inference_mode()
def test_a_unet_is_compiled_once_for_any_number_of_rows(tiny: Model, backend: Backend) -> None:
    plain = call_unet(tiny.unet)
    compiled = CompiledRows(plain, tiny.native_shape, backend)
    for rows in (2, 5, 1):
        given = unet_arguments(tiny, rows, tiny.native_shape)
        answer = compiled(*given)
        assert answer.shape == given[0].shape
        assert torch.allclose(answer, plain(*given), atol=1e-5)
    assert backend.graphs == 1


@torch.inference_mode()
def test_what_is_called_with_few_row_counts_is_compiled_once_for_each(backend: Backend) -> None:
    def plain(latents: Tensor, timesteps: Tensor) -> Tensor:
        return latents * timesteps[:, None, None, None]

    native, other = (8, 8), (8, 12)
    compiled = CompiledRows(plain, native, backend, for_each_count=True)
    planned = PlannedRows(compiled, {native: RowPlan((1, 2, 4))}.get)
    for rows, size in ((1, native), (4, native), (3, native), (6, native), (2, native), (5, other)):
        given = (torch.randn(rows, 4, *size), torch.rand(rows))
        assert torch.equal(planned(*given), plain(*given))
    assert backend.graphs == 3


@torch.inference_mode()
def test_fused_projections_are_the_same_within_rounding(checkpoint: Path, tiny: Model) -> None:
    fused = load_model(checkpoint, CPU, torch.float32, CallOptions(fused=True))
    given = unet_arguments(tiny, 3, tiny.native_shape)
    assert torch.allclose(fused.unet_call(*given), call_unet(tiny.unet)(*given), atol=1e-5)


@pytest.mark.slow
@torch.inference_mode()
def test_fused_projections_can_be_compiled(checkpoint: Path, tiny: Model, backend: Backend) -> None:
    fused = load_model(checkpoint, CPU, torch.float32, CallOptions(fused=True))
    given = unet_arguments(tiny, 3, tiny.native_shape)
    compiled = CompiledRows(call_unet(fused.unet), tiny.native_shape, backend)
    assert torch.allclose(compiled(*given), call_unet(tiny.unet)(*given), atol=1e-5)
    assert backend.graphs == 1


def test_attention_is_torchs_own(tiny: Model) -> None:
    """And not a product, a softmax and a product, with all of the attention's weights in memory."""
    for part in (tiny.unet, tiny.vae):
        assert all(isinstance(each, AttnProcessor2_0) for each in part.attn_processors.values())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its own
def test_compiled_pictures_are_exact(checkpoint: Path, references: References) -> None:
    """By inductor, for row counts of a plan, beside a picture of a size that is not compiled."""
    plain = load_model(checkpoint, CPU, torch.float32)
    plan = RowPlan((2, 4))
    model = prepare(plain, CallOptions(compiles=True, plan=plan, channels_last=False))
    wishes = [Wish("euler", 4), Wish("ddim", 3, guidance=1.0), Wish("lms", 3, width=96)]
    engine = Engine(model, RowBudget(8, model.native_shape))
    outcome = develop_together(engine, [Arrival(wish, at=i) for i, wish in enumerate(wishes)])
    for i, wish in enumerate(wishes):
        assert_exact(outcome.finished[i], references(plain, wish))


@torch.inference_mode()
def test_a_decoder_is_compiled_for_one_picture_and_called_for_each(
    tiny: Model, backend: Backend
) -> None:
    plain = call_vae(tiny.vae)
    compiled = CompiledOneByOne(plain, tiny.native_shape, backend)
    for pictures in (1, 3):
        latents = torch.randn(pictures, tiny.latent_channels, *tiny.native_shape)
        assert torch.allclose(compiled(latents), plain(latents), atol=1e-5)
    assert backend.graphs == 1


def test_no_picture_waits_for_what_the_start_has_compiled(tiny: Model, backend: Backend) -> None:
    """Whoever joins, leaves, is removed, and begins or ends its guidance."""
    model = replace(
        tiny,
        unet_call=CompiledRows(call_unet(tiny.unet), tiny.native_shape, backend),
        vae_call=CompiledOneByOne(call_vae(tiny.vae), tiny.native_shape, backend),
        advance_call=Compiled(advance, backend),
    )
    warm_up(model, (1, 2, 4))
    assert backend.graphs == 3
    wishes = [
        Wish("euler_a", 5),
        Wish("heun", 3, guidance_stop=0.6),
        Wish("ddim", 3, guidance=1.0, width=96),
        Wish("lms", 4),
    ]
    arrivals = [Arrival(wish, at=i) for i, wish in enumerate(wishes)]
    engine = Engine(model, RowBudget(8, model.native_shape))
    outcome = develop_together(engine, [*arrivals, Arrival(Wish(steps=9), at=1, gone_at=3)])
    assert len(outcome.finished) == len(wishes)
    assert backend.graphs == 3


@torch.inference_mode()
def test_another_size_is_not_waited_for(tiny: Model, backend: Backend) -> None:
    plain = call_unet(tiny.unet)
    given = unet_arguments(tiny, 2, (8, 12))
    assert torch.equal(CompiledRows(plain, tiny.native_shape, backend)(*given), plain(*given))
    assert backend.graphs == 0
