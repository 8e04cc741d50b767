"""One big step is blurry, many small ones are not.

The first row follows one picture: what the U-Net takes for the clean picture at each step. Asked
for everything at once, out of pure noise, it can only answer with the mean of all pictures that
fit the prompt, which is blurry; each step decides a little more. The second row shows where
sampling ends when it is given that many steps in all. The prompt is empty, so that everything fits:
of a thing that it has seen in one shape only, already the first guess is sharp. Guidance is off:
it would push the first answers beyond the mean.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from training.lecture.grid import grid
from training.lecture.studio import STEPS, Studio

PROMPT, SEED, GUIDANCE = "", 3, 1.0
SHOWN = (1, 2, 3, 5, 8, 12, 18, STEPS)


def draw(studio: Studio) -> Figure:
    moments = list(studio.sample([PROMPT], [SEED], guidance=GUIDANCE))
    believed = studio.decode(torch.cat([moments[n - 1].clean for n in SHOWN]))
    ends = np.concatenate(
        [studio.draw([PROMPT], [SEED], steps=n, guidance=GUIDANCE) for n in SHOWN]
    )
    return grid(
        [believed, ends],
        beside=[f"believed at\nstep n of {STEPS}", "drawn in\nn steps"],
        above=[f"n = {n}" for n in SHOWN],
    )
