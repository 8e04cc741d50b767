"""Classifier-free guidance (Ho and Salimans, 2022), per picture."""

import torch
from torch import Tensor


def guide(answers: Tensor, pairs: Tensor, scale: Tensor) -> Tensor:
    """e = u + g (c - u), which is c for a picture without guidance.

    Args:
        answers: [rows, channels, h, w], what the U-Net said.
        pairs: [pictures, 2] int64, the rows of u and c; c twice without guidance.
        scale: [pictures, 1, 1, 1], g.

    Returns:
        [pictures, channels, h, w].
    """
    unconditional, conditional = answers[pairs[:, 0]], answers[pairs[:, 1]]
    return unconditional + scale * (conditional - unconditional)


def pairs_of(guided: int, pictures: int) -> Tensor:
    """For `guide`, where the unconditional rows of the guided come first, and then the conditional
    rows of all, the guided ones first."""
    conditional = torch.arange(guided, guided + pictures)
    unconditional = torch.cat([torch.arange(guided), conditional[guided:]])
    return torch.stack([unconditional, conditional], dim=1)
