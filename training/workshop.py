"""What every stage is given: the recipe, the folders, the device, and the time that it has."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from training.data import PictureSet, load_pictures
from training.loop import Ending, Run, Stage, train
from training.order import stage_seed
from training.recipe import ClipRecipe, Optimisation, Recipe, VaeRecipe, fingerprint


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that a stage is given."""

    recipe: Recipe
    seed: int
    work: Path  # packages, pictures, checkpoints, logs: never committed
    models: Path  # finished weights
    device: torch.device
    deadline: float = math.inf  # by time.monotonic()
    train: Callable[[Stage, Run], Ending] = train  # another one where stages are only timed

    @property
    def parts(self) -> Path:
        return self.models / "parts"

    def pictures(self) -> PictureSet:
        return load_pictures(self.recipe.data, self.work / "pictures")

    @property
    def tokenizer_mark(self) -> str:
        return fingerprint("tokenizer", self.recipe.tokenizer, self.recipe.data)

    # A mark is a fingerprint of a stage's recipe and of all that the stage is built on.

    def vae_mark(self, name: str, recipe: VaeRecipe) -> str:
        return fingerprint(name, recipe, self.recipe.data, self.seed)

    def clip_mark(self, name: str, recipe: ClipRecipe) -> str:
        return fingerprint(name, recipe, self.tokenizer_mark, self.seed)

    @property
    def unet_mark(self) -> str:
        vae = self.vae_mark("vae", self.recipe.vae)
        clip = self.clip_mark("clip", self.recipe.clip)
        return fingerprint("unet", self.recipe.unet, vae, clip, self.seed)

    @property
    def refined_mark(self) -> str:
        return fingerprint("refined", self.recipe.refining, self.unet_mark)

    @property
    def decoder_mark(self) -> str:
        return fingerprint("decoder", self.recipe.decoder, self.vae_mark("vae", self.recipe.vae))

    def run(self, stage: str, optimisation: Optimisation, mark: str) -> Run:
        return Run(
            optimisation=optimisation,
            loop=self.recipe.loop,
            fingerprint=mark,
            seed=stage_seed(self.seed, stage),
            device=self.device,
            folder=self.work / stage,
            deadline=self.deadline,
        )
