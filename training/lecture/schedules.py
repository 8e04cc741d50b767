"""Noise schedules: how much of the signal is left at each timestep.

`linear` is that of Ho et al. (2020), `scaled_linear` that of Stable Diffusion (Rombach et al. 2022)
and of this model, `cosine` that of Nichol and Dhariwal (2021), who wanted the signal to fade evenly
instead of being gone by the middle. On the right the same as the logarithm of the signal-to-noise
ratio: the cosine spends most timesteps where signal and noise are about equal, and passes quickly
through the two ends. At the last timestep `scaled_linear` still has 7% of the signal's amplitude,
a known flaw of Stable Diffusion's schedule (Lin et al. 2024), which this model shares.
"""

from typing import Any

import torch
from diffusers import DDPMScheduler
from matplotlib.figure import Figure
from torch import Tensor

from training.lecture.studio import Studio

SCHEDULES: dict[str, dict[str, Any]] = {
    "linear, 0.0001 to 0.02": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear, 0.00085 to 0.012": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


def draw(studio: Studio) -> Figure:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    share, ratio = figure.subplots(1, 2)
    for name, options in SCHEDULES.items():
        left = alpha_bar(options)
        share.plot(left, label=name)
        ratio.plot(torch.log10(left / (1 - left)), label=name)
    share.plot(studio.alpha_bar, "k:", label="the shipped model")
    share.set(xlabel="timestep", ylabel="alpha bar: share of the signal's variance")
    ratio.set(xlabel="timestep", ylabel="log10 of signal to noise", ylim=(-6, 5))
    share.legend(fontsize=8)
    return figure


def alpha_bar(options: dict[str, Any]) -> Tensor:
    cumulated: Tensor = DDPMScheduler(**options).alphas_cumprod
    return cumulated
