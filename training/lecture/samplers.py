"""Samplers side by side, from the same noise.

DDIM, LMS and DPM++ 2M follow the same path from noise to picture, and differ in how long a step
they can take without leaving it: DDIM (Song et al. 2021) is Euler's method, LMS and DPM++ 2M (Lu et
al. 2022) look back at former steps. DDPM (Ho et al. 2020) has no path: it draws fresh noise at
every step, needs many of them, and ends somewhere else.
"""

from typing import Any

import numpy as np
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    LMSDiscreteScheduler,
)
from matplotlib.figure import Figure

from training.lecture.grid import grid
from training.lecture.studio import Studio

PROMPT, SEED = "tropical fish", 5
STEPS = (2, 4, 6, 10, 20, 50, 100)
SAMPLERS: dict[str, Any] = {
    "DDPM": DDPMScheduler,
    "DDIM": DDIMScheduler,
    "LMS": LMSDiscreteScheduler,
    "DPM++ 2M": DPMSolverMultistepScheduler,
}


def draw(studio: Studio) -> Figure:
    def row(scheduler: Any) -> Any:
        return np.concatenate(
            [
                studio.draw(
                    [PROMPT], [SEED], steps=steps, scheduler=scheduler.from_config(studio.config)
                )
                for steps in STEPS
            ]
        )

    return grid(
        [row(scheduler) for scheduler in SAMPLERS.values()],
        beside=list(SAMPLERS),
        above=[f"{steps} steps" for steps in STEPS],
    )
