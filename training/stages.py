"""The stages in their order: what each needs, what it makes, and when it need not run again."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from training import data, parts
from training.errors import TrainingError
from training.loop import Ending, Run, Stage, train
from training.order import stage_seed
from training.recipe import Optimisation, Recipe, VaeRecipe, fingerprint
from training.vae import VaeStage, encode, normalise_latents


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that a stage is given."""

    recipe: Recipe
    seed: int
    work: Path  # packages, pictures, checkpoints, logs: never committed
    models: Path  # finished weights
    device: torch.device
    deadline: float = math.inf  # by time.monotonic()

    @property
    def parts(self) -> Path:
        return self.models / "parts"

    def pictures(self) -> data.PictureSet:
        return data.load_pictures(self.recipe.data, self.work / "pictures")

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


def make_pictures(shop: Workshop) -> bool:
    folder = shop.work / "pictures"
    if data.has_pictures(folder):
        shop.pictures()  # says what is wrong with them, if anything
        return _say("data: done before.")
    pictures = data.make_pictures(shop.recipe.data, shop.work / "packages")
    data.save_pictures(pictures, shop.recipe.data, folder)
    return _say(f"data: {len(pictures)} pictures of {len(pictures.concepts)} concepts.")


def train_vae(shop: Workshop) -> bool:
    return _train_vae(shop, "vae", shop.recipe.vae)


def train_kl_pair(shop: Workshop) -> bool:
    """Two small autoencoders that differ in the KL term alone, to show what it does."""
    pair = {"vae_with_kl": shop.recipe.small_vae, "vae_without_kl": shop.recipe.small_vae_no_kl}
    return all(_train_vae(shop, name, recipe) for name, recipe in pair.items())


def _train_vae(shop: Workshop, name: str, recipe: VaeRecipe) -> bool:
    mark = fingerprint(name, recipe, shop.recipe.data, shop.seed)
    if parts.finished(shop.parts / name, mark):
        return _say(f"{name}: done before.")
    pictures = shop.pictures()
    torch.manual_seed(stage_seed(shop.seed, name))
    is_held_out = data.held_out(pictures, shop.recipe.data)
    stage = VaeStage(name, recipe, pictures, is_held_out, shop.device)
    ending = _train(shop, stage, recipe.optimisation, mark)
    if ending.is_finished:
        shown = pictures.batch(stage.seen[: recipe.normalised_on])
        normalise_latents(stage.model, encode(stage.model, shown))
        _publish(shop, name, mark, ending, lambda folder: parts.save_half(stage.model, folder))
    return ending.is_finished


def _train(shop: Workshop, stage: Stage, optimisation: Optimisation, mark: str) -> Ending:
    ending = train(stage, shop.run(stage.name, optimisation, mark))
    if not ending.is_finished:
        _say(
            f"{stage.name}: this piece's time is over; saved at step {ending.step} of "
            f"{optimisation.steps}, and the same command goes on from there."
        )
    return ending


def _publish(
    shop: Workshop, name: str, mark: str, ending: Ending, fill: Callable[[Path], None]
) -> None:
    note = parts.Finished(name, mark, ending.step, round(ending.seconds), _rounded(ending.measured))
    parts.publish(shop.parts / name, note, fill)
    _say(f"{name}: finished after {ending.seconds / 60:.0f} minutes; see {shop.parts / name}.")


def _rounded(measured: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in measured.items()}


def _say(sentence: str) -> bool:
    """Always true, so that a stage can end with what it says."""
    tqdm.write(sentence)
    return True


STAGES: Mapping[str, Callable[[Workshop], bool]] = {
    "data": make_pictures,
    "vae": train_vae,
    "kl": train_kl_pair,
}
"""In their order. Each says whether it is finished; an unfinished one goes on at the next run."""


def run_stage(name: str, shop: Workshop) -> None:
    """One stage, or `all` of them until one is not finished.

    Raises:
        TrainingError: see the stages.
    """
    _make_work_folder(shop.work)
    for each in STAGES if name == "all" else (name,):
        if not STAGES[each](shop):
            return


def _make_work_folder(work: Path) -> None:
    """Which git ignores, wherever it is."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        (work / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError(
            f"{work} cannot be written ({error.strerror}): name another folder with --work."
        ) from error
