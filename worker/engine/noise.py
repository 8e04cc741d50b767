"""Gaussian noise, drawn as diffusers draws it: from a CPU generator of the picture's own, so that
neither the device nor the neighbours change a picture."""

import torch
from torch import Tensor


def generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def draw(source: torch.Generator, channels: int, height: int, width: int) -> Tensor:
    """[channels, height, width] float32 on the CPU, advancing `source`."""
    return torch.randn((1, channels, height, width), generator=source, dtype=torch.float32)[0]
