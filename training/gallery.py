"""The finished model at work: diffusers' own pipeline draws from the exported folder."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.export import load_pipeline

BATCH = 16
TIMED_STEPS, TIMED_GUIDANCE = 20, 5.0
TIMED_RUNS = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """How pictures are drawn."""

    steps: int
    guidance: float
    seed: int  # of the first picture; the next one has the next seed


class Gallery:
    """A pipeline folder, loaded unchanged."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        pipeline, self.labels = load_pipeline(folder)
        self.pipeline = pipeline.to(device)
        self.pipeline.set_progress_bar_config(disable=True)

    def draw(self, prompts: Sequence[str], asked: Asked) -> NDArray[np.uint8]:
        """[prompts, height, width, 3]."""
        batches = [
            self._batch(prompts[first : first + BATCH], asked, first)
            for first in tqdm(range(0, len(prompts), BATCH), "drawing", unit="batch", leave=False)
        ]
        return np.concatenate(batches)

    def seconds(self, prompt: str, threads: int) -> float:
        """The median time of one picture of TIMED_STEPS steps, after a first that warms up."""
        taken, before = [], torch.get_num_threads()
        torch.set_num_threads(threads)
        for run in range(TIMED_RUNS + 1):
            began = time.perf_counter()
            self._batch([prompt], Asked(TIMED_STEPS, TIMED_GUIDANCE, seed=run), 0)
            taken.append(time.perf_counter() - began)
        torch.set_num_threads(before)
        return float(np.median(taken[1:]))

    def _batch(self, prompts: Sequence[str], asked: Asked, first: int) -> NDArray[np.uint8]:
        seeds = range(asked.seed + first, asked.seed + first + len(prompts))
        drawn = self.pipeline(
            list(prompts),
            num_inference_steps=asked.steps,
            guidance_scale=asked.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
        ).images
        pictures: NDArray[np.uint8] = (drawn * 255).round().astype(np.uint8)
        return pictures
