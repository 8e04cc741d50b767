"""Classifier-free guidance (Ho and Salimans, 2022), per picture."""

import torch
from torch import Tensor


def guide(outputs: Tensor, scale: Tensor) -> Tensor:
    """e = u + g (c - u) for the guided pictures, which come first; e = c for the others.

    Args:
        outputs: [guided + pictures, channels, h, w], the unconditional rows first.
        scale: [guided, 1, 1, 1], g of each guided picture.

    Returns:
        [pictures, channels, h, w].
    """
    guided = len(scale)
    if guided == 0:
        return outputs
    unconditional, conditional = outputs[:guided], outputs[guided:]
    estimate = unconditional + scale * (conditional[:guided] - unconditional)
    return torch.cat([estimate, conditional[guided:]])
