"""Noise and how it is taken away: pure functions in the papers' symbols.

A latent x0 is mixed with Gaussian noise e to x_t = alpha_t x0 + sigma_t e, alpha^2 + sigma^2 = 1
(Ho et al. 2020, equation 4). The U-Net sees x_t and t and says v = alpha_t e - sigma_t x0, from
which both x0 and e follow, at any noise level without a division by nearly nothing (Salimans & Ho
2022, section 4 and appendix D).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import Tensor

from training.recipe import ScheduleRecipe

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""(x_t [rows, channels, h, w], t [rows]) becomes v."""


@dataclass(frozen=True, slots=True)
class Schedule:
    alphas: Tensor  # [timesteps] float32: how much of the picture is left, t = 0 almost all
    sigmas: Tensor  # [timesteps] float32: how much noise there is

    def __len__(self) -> int:
        return len(self.alphas)

    @property
    def signal_to_noise(self) -> Tensor:
        """[timesteps]: alpha^2 / sigma^2."""
        return (self.alphas / self.sigmas) ** 2

    def at(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma, each [rows, 1, 1, 1]."""
        timesteps = timesteps.cpu()
        alpha, sigma = self.alphas[timesteps], self.sigmas[timesteps]
        return alpha[:, None, None, None], sigma[:, None, None, None]


def scaled_linear(recipe: ScheduleRecipe) -> Schedule:
    """Stable Diffusion's schedule: the square roots of beta rise linearly (Rombach et al. 2022)."""
    first, last = recipe.beta_start**0.5, recipe.beta_end**0.5
    betas = torch.linspace(first, last, recipe.timesteps, dtype=torch.float64) ** 2
    alpha_bar = (1 - betas).cumprod(dim=0)  # Ho et al. 2020, section 2
    return Schedule(alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float())


def add_noise(x0: Tensor, e: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """x_t; Ho et al. 2020, equation 4."""
    return alpha * x0 + sigma * e


def velocity(x0: Tensor, e: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v; Salimans & Ho 2022, section 4."""
    return alpha * e - sigma * x0


def clean_of(x_t: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The predicted x0; Salimans & Ho 2022, appendix D."""
    return alpha * x_t - sigma * v


def noise_of(x_t: Tensor, v: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The predicted e."""
    return sigma * x_t + alpha * v


def loss_weights(signal_to_noise: Tensor, most: float, least: float) -> Tensor:
    """[timesteps]: weights for the squared error of v.

    In terms of x0 the weight is the signal-to-noise ratio, but at most `most`: so that the steps
    with little noise, which are easy, do not have all the say (min-SNR, Hang et al. 2023, section
    3.4; with v it is divided by SNR + 1). And at least `least`: where there is almost only noise,
    nothing but the prompt says what the picture will be, so that this is where a prompt is learned.
    """
    return signal_to_noise.clamp(least, most) / (signal_to_noise + 1)


def trailing_timesteps(count: int, timesteps: int) -> list[int]:
    """From the last one down, evenly spaced (Lin et al. 2024, table 2)."""
    return [round(timesteps - i * timesteps / count) - 1 for i in range(count)]


def ddim(
    denoise: Denoiser, noise: Tensor, schedule: Schedule, steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Takes the noise away in `steps` steps (Song et al. 2021, equation 12, without new noise).

    Yields:
        The latents after each step, and the clean ones that were predicted at it.
    """
    x = noise
    path = trailing_timesteps(steps, len(schedule))
    for t, following in zip(path, [*path[1:], None], strict=True):
        rows = torch.full((len(x),), t)
        alpha, sigma = (each.to(x.device) for each in schedule.at(rows))
        v = denoise(x, rows.to(x.device))
        x0, e = clean_of(x, v, alpha, sigma), noise_of(x, v, alpha, sigma)
        if following is None:
            x = x0
        else:
            alpha, sigma = (each.to(x.device) for each in schedule.at(rows * 0 + following))
            x = add_noise(x0, e, alpha, sigma)
        yield x, x0


def guided(
    denoise: Callable[[Tensor, Tensor, Tensor], Tensor],
    unconditional: Tensor,
    conditional: Tensor,
    scale: float,
) -> Denoiser:
    """Classifier-free guidance (Ho & Salimans 2022): away from what no prompt would give.

    Both embeddings are [rows, tokens, width]; one call has them all.
    """
    both = torch.cat([unconditional, conditional])

    def denoise_guided(x: Tensor, t: Tensor) -> Tensor:
        u, c = denoise(x.repeat(2, 1, 1, 1), t.repeat(2), both).chunk(2)
        return u + scale * (c - u)

    return denoise_guided


def scheduler_config(recipe: ScheduleRecipe) -> dict[str, Any]:
    """The same schedule as diffusers writes it down."""
    return {
        "_class_name": "DDIMScheduler",
        "_diffusers_version": diffusers.__version__,
        "beta_end": recipe.beta_end,
        "beta_schedule": "scaled_linear",
        "beta_start": recipe.beta_start,
        "clip_sample": False,
        "num_train_timesteps": recipe.timesteps,
        "prediction_type": "v_prediction",
        "set_alpha_to_one": True,  # the last step ends without noise
        "steps_offset": 1,
        "timestep_spacing": "trailing",
        "trained_betas": None,
    }
