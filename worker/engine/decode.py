"""Latents to pixels, as diffusers' pipeline and its image processor do it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.model import Model


def decode(model: Model, latents: Tensor) -> list[NDArray[np.uint8] | None]:
    """
    Args:
        latents: [pictures, channels, h, w] float32.

    Returns:
        For each picture [height, width, 3] RGB, or None where it is not finite.
    """
    pixels, finite = (made.cpu() for made in render(model, latents))
    return sound(list(pixels), finite)


@torch.inference_mode()
def render(model: Model, latents: Tensor) -> tuple[Tensor, Tensor]:
    """The same on the device, where nothing waits for it: [pictures, height, width, 3] uint8, and
    which of them are finite, [pictures]."""
    decoded = model.decode(latents)
    finite = decoded.isfinite().flatten(1).all(dim=1)
    unit = (decoded.float() / 2 + 0.5).clamp(0, 1)
    return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1), finite


def sound(pictures: Sequence[Tensor], finite: Tensor) -> list[NDArray[np.uint8] | None]:
    """What `render` made, on the host."""
    return [
        picture.numpy() if is_finite else None
        for picture, is_finite in zip(pictures, finite.tolist(), strict=True)
    ]
