"""Latent arithmetic: the VAE's space is smooth, but it does not know what things are.

Halfway between two latents lies a picture that fades one thing into the other, as halfway between
the pixels does: the autoencoder knows how pictures look. Halfway between two prompts' embeddings
lies a thing of its own: what things are is known to the text encoder and the U-Net.

One can also take a difference of two latents and add it to a third: what two pictures do not have
in common moves to another picture.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.lecture.grid import Pictures, grid
from training.lecture.studio import Studio

FIRST, SECOND, SEED = "red apple", "tangerine", 1
SHARES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
SUMS = {
    "glasses\nfor the moon": ("smiling face with sunglasses", "slightly smiling face", "full moon"),
    "blue\nfor the heart": ("red heart", "red circle", "blue circle"),
}
"""By name: a, b and c of a - b + c."""
TERMS = ("a", "b", "c", "a - b\nin latents", "a - b + c\nin latents", "in pixels", "in prompts")


def draw(studio: Studio) -> Figure:
    pictures = studio.draw([FIRST, SECOND], [SEED, SEED])
    pixels = np.stack([(1 - share) * pictures[0] + share * pictures[1] for share in SHARES])
    latents = studio.decode(mixed(studio.encode(pictures), SHARES))
    prompts = studio.draw(mixed(studio.embed([FIRST, SECOND]), SHARES), [SEED] * len(SHARES))
    sums = [_sum(studio, names) for names in SUMS.values()]
    figure = grid(
        [pixels, latents, prompts, *sums],
        beside=["pixels mixed", "latents mixed", "prompts mixed", *SUMS],
        above=[f"{share:.0%}" for share in SHARES],
    )
    for cell, text in zip(figure.axes[3 * len(SHARES) :], TERMS, strict=False):
        cell.set_title(text, fontsize=9)
    return figure


def mixed(pair: Tensor, shares: Sequence[float]) -> Tensor:
    """[shares, ...] the first of two at share 0, the second at 1, the straight way between."""
    return torch.stack([torch.lerp(pair[0], pair[1], share) for share in shares])


def _sum(studio: Studio, names: Sequence[str]) -> Pictures:
    """As TERMS says. The difference is shown on white: added to an empty page's latents."""
    terms = studio.draw(names, [SEED] * len(names))
    a, b, c = studio.encode(terms)
    empty = studio.encode(np.ones_like(terms[:1]))[0]
    summed = studio.decode(torch.stack([a - b + empty, a - b + c]))
    pixels = np.clip(terms[:1] - terms[1:2] + terms[2:], 0, 1)
    e_a, e_b, e_c = studio.embed(names)
    prompted = studio.draw((e_a - e_b + e_c)[None], [SEED])
    return np.concatenate([terms, summed, pixels, prompted])
