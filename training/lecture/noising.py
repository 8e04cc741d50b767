"""Forward noising: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e (Ho et al. 2020, equation 4).

Above, the latents themselves, three of their channels shown as red, green and blue. Below, what the
decoder makes of them. The thing is gone to the eye long before the last timestep. By then all but
7% of the amplitude is noise, and sampling starts as if all of it were.
"""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.lecture.grid import Pictures, grid
from training.lecture.studio import Studio

TIMESTEPS = (0, 50, 150, 300, 450, 600, 800, 999)
PROMPT, SEED = "red apple", 1


def draw(studio: Studio) -> Figure:
    clean = studio.encode(studio.draw([PROMPT], [SEED]))
    noise = studio.noise([SEED])
    noised = torch.cat([add_noise(studio, clean, noise, t) for t in TIMESTEPS])
    return grid(
        [as_colours(noised), studio.decode(noised)],
        beside=["latents", "decoded"],
        above=[f"t = {t}" for t in TIMESTEPS],
    )


def add_noise(studio: Studio, clean: Tensor, noise: Tensor, timestep: int) -> Tensor:
    left = studio.alpha_bar[timestep]
    return left.sqrt() * clean + (1 - left).sqrt() * noise


def as_colours(latents: Tensor) -> Pictures:
    """Three channels, from -3 to 3 standard deviations."""
    shown = (latents[:, :3] / 6 + 0.5).clamp(0, 1)
    pictures: Pictures = shown.permute(0, 2, 3, 1).numpy()
    return pictures
