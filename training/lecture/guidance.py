"""Guidance: how far to go beyond what the prompt alone would give (Ho and Salimans 2022).

At 1 the U-Net's answer is taken as it is. Larger values follow the prompt more closely; far too
large ones leave the range of pictures that the model knows, and colours burn out.
"""

from matplotlib.figure import Figure

from training.lecture.grid import grid
from training.lecture.studio import Studio

GUIDANCE = (1.0, 2.0, 4.0, 7.5, 15.0)
PROMPTS = ("red heart", "rose", "blue fish")
SEEDS = (1, 2)


def draw(studio: Studio) -> Figure:
    asked = [(prompt, seed) for prompt in PROMPTS for seed in SEEDS]
    prompts, seeds = zip(*asked, strict=True)
    return grid(
        [studio.draw(prompts, seeds, guidance=guidance) for guidance in GUIDANCE],
        beside=[f"guidance {guidance:g}" for guidance in GUIDANCE],
        above=[f"{prompt}\nseed {seed}" for prompt, seed in asked],
    )
