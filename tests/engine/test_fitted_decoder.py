from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.likeness import psnr
from worker.engine import noise
from worker.engine.decode import decode
from worker.engine.fitted_decoder import fit_decoder
from worker.engine.memory import measure_needs
from worker.engine.memory_plan import MemoryPlan, Needs
from worker.engine.model import Model


@pytest.fixture(scope="module")
def needs(tiny: Model) -> Needs:
    return measure_needs(tiny, (16, 16), remembered=0)


def fitted(model: Model, needs: Needs, decoding: float) -> Model:
    plan = MemoryPlan(needs, 10**9, decoding, calls=1, side=16)
    return replace(model, vae_call=fit_decoder(model, plan))


def latents_of(pictures: int, side: int) -> Tensor:
    source = noise.generator(7)
    return torch.stack([noise.draw(source, 4, side, side) for _ in range(pictures)])


def test_a_call_has_as_many_pictures_as_there_is_room_for(tiny: Model, needs: Needs) -> None:
    latents, seen = latents_of(5, 8), []

    def see(decoder: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(len(given[0]))

    whole = decode(tiny, latents)
    hook = tiny.vae.decoder.register_forward_pre_hook(see)
    try:
        found = decode(fitted(tiny, needs, needs.decoder.bytes(2 * 64)), latents)
    finally:
        hook.remove()
    assert seen == [2, 2, 1]
    for made, expected in zip(found, whole, strict=True):
        assert made is not None
        assert expected is not None
        assert np.abs(made.astype(int) - expected.astype(int)).max() <= 1


@torch.inference_mode()
def test_a_tiled_picture_is_that_of_diffusers_tiling(tiny: Model, needs: Needs) -> None:
    latents = latents_of(2, 20)
    made = fitted(tiny, needs, needs.decoder.bytes(64)).decode(latents)
    assert made.shape == (2, 3, 160, 160)
    tiny.vae.enable_tiling()
    try:
        expected = tiny.vae.decode(latents / tiny.vae.config.scaling_factor).sample
    finally:
        tiny.vae.disable_tiling()
    assert torch.allclose(made, expected, atol=1e-5)


def test_a_tiled_picture_looks_like_the_whole_one(tiny: Model, needs: Needs) -> None:
    latents = latents_of(1, 16)
    (tiled,) = decode(fitted(tiny, needs, needs.decoder.bytes(64)), latents)
    (whole,) = decode(tiny, latents)
    assert tiled is not None
    assert whole is not None
    assert psnr(tiled, whole) > 20
