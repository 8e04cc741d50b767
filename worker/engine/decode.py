"""Latents to pixels, as diffusers' pipeline and its image processor do it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.model import Model


@torch.inference_mode()
def decode(model: Model, latents: Tensor) -> list[NDArray[np.uint8] | None]:
    """
    Args:
        latents: [pictures, channels, h, w] float32.

    Returns:
        For each picture [height, width, 3] RGB, or None where it is not finite.
    """
    decoded = model.decode(latents)
    finite = decoded.isfinite().flatten(1).all(dim=1)
    unit = (decoded.float() / 2 + 0.5).clamp(0, 1)
    pixels = (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [
        picture if sound else None for picture, sound in zip(pixels, finite.tolist(), strict=True)
    ]
