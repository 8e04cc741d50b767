"""The seed is the noise that a picture starts from.

Each row is a prompt, each column a seed. The same seed gives the same picture every time, whoever
draws it and beside whatever else. Where the model has seen a thing in one shape only, every seed
ends near that shape.
"""

from matplotlib.figure import Figure

from training.lecture.grid import grid
from training.lecture.studio import Studio

PROMPTS = ("cat face", "tulip", "tropical fish", "fish tulip")
SEEDS = tuple(range(8))


def draw(studio: Studio) -> Figure:
    return grid(
        [studio.draw([prompt] * len(SEEDS), SEEDS) for prompt in PROMPTS],
        beside=list(PROMPTS),
        above=[f"seed {seed}" for seed in SEEDS],
    )
