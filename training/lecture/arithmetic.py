"""Latent arithmetic: the VAE's space is smooth, but it does not know what things are.

Halfway between two latents lies a picture that fades one thing into the other, as halfway between
the pixels does: the autoencoder knows how pictures look. Halfway between two prompts' embeddings
lies a thing of its own: what things are is known to the text encoder and the U-Net.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.lecture.grid import grid
from training.lecture.studio import Studio

FIRST, SECOND, SEED = "red apple", "tangerine", 1
SHARES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)


def draw(studio: Studio) -> Figure:
    pictures = studio.draw([FIRST, SECOND], [SEED, SEED])
    pixels = np.stack([(1 - share) * pictures[0] + share * pictures[1] for share in SHARES])
    latents = studio.decode(mixed(studio.encode(pictures), SHARES))
    prompts = studio.draw(mixed(studio.embed([FIRST, SECOND]), SHARES), [SEED] * len(SHARES))
    return grid(
        [pixels, latents, prompts],
        beside=["pixels mixed", "latents mixed", "prompts mixed"],
        above=[f"{share:.0%}" for share in SHARES],
    )


def mixed(pair: Tensor, shares: Sequence[float]) -> Tensor:
    """[shares, ...] the first of two at share 0, the second at 1, the straight way between."""
    return torch.stack([torch.lerp(pair[0], pair[1], share) for share in shares])
