"""What is compiled once serves any number of rows. The backend here runs torch's graphs as they
are; what inductor makes of them is in tests/gpu."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule

from worker.engine.compiled import CompiledOneByOne, CompiledRows
from worker.engine.model import Model, call_unet, call_vae


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
def test_a_decoder_is_compiled_for_one_picture_and_called_for_each(
    tiny: Model, backend: Backend
) -> None:
    plain = call_vae(tiny.vae)
    compiled = CompiledOneByOne(plain, tiny.native_shape, backend)
    for pictures in (1, 3):
        latents = torch.randn(pictures, tiny.latent_channels, *tiny.native_shape)
        assert torch.allclose(compiled(latents), plain(latents), atol=1e-5)
    assert backend.graphs == 1


@torch.inference_mode()
def test_another_size_is_not_waited_for(tiny: Model, backend: Backend) -> None:
    plain = call_unet(tiny.unet)
    given = unet_arguments(tiny, 2, (8, 12))
    assert torch.equal(CompiledRows(plain, tiny.native_shape, backend)(*given), plain(*given))
    assert backend.graphs == 0
