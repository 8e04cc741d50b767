import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from torch import Tensor

from worker.engine import noise
from worker.engine.decode import decode
from worker.engine.model import Model


def latents_of(model: Model, pictures: int = 3) -> Tensor:
    source = noise.generator(5)
    drawn = [
        noise.draw(source, model.latent_channels, *model.native_shape) for _ in range(pictures)
    ]
    return torch.stack(drawn)


def test_pictures_are_those_of_diffusers_image_processor(model: Model) -> None:
    latents = latents_of(model)
    with torch.inference_mode():
        decoded = model.vae.decode(latents / model.vae.config.scaling_factor).sample
    expected = VaeImageProcessor().postprocess(decoded, output_type="pil")
    for found, picture in zip(decode(model, latents), expected, strict=True):
        assert found is not None
        assert found.dtype == np.uint8
        assert np.array_equal(found, np.asarray(picture))


def test_a_picture_has_the_pixels_of_its_shape(tiny: Model) -> None:
    (picture,) = decode(tiny, torch.zeros(1, 4, 5, 9))
    assert picture is not None
    assert picture.shape == (40, 72, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_picture_that_is_not_finite_is_none_and_its_neighbours_are_whole(
    tiny: Model, value: float
) -> None:
    latents = latents_of(tiny)
    whole = decode(tiny, latents)
    latents[1, 0, 3, 3] = value
    first, broken, last = decode(tiny, latents)
    assert broken is None
    assert first is not None
    assert last is not None
    assert np.array_equal(first, whole[0])
    assert np.array_equal(last, whole[2])
