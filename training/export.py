"""The parts become one folder that diffusers' StableDiffusionPipeline loads as it is."""

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import StableDiffusionPipeline

from training.diffusion import scheduler_config
from training.files import write_folder
from training.parts import reading, weights_bytes
from training.recipe import Recipe

LABELS = "labels.txt"
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": diffusers.__version__,
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
PARTS = {
    "tokenizer": "tokenizer",
    "text_encoder": "refined/text_encoder",
    "unet": "refined/unet",
    "vae": "decoder",
}
"""The pipeline's folders, and where the stages left them."""


def export_pipeline(recipe: Recipe, parts: Path, folder: Path) -> int:
    """Builds the folder beside, tries it, and puts it in its place; returns its size in bytes.

    What is in the old folder and no part of a pipeline, such as card and licences, stays.

    Raises:
        TrainingError: a part is damaged, or the disk is full.
    """

    def fill(beside: Path) -> None:
        _copy_parts(recipe, parts, beside)
        _keep_others(folder, beside)
        with reading(parts):
            StableDiffusionPipeline.from_pretrained(str(beside), local_files_only=True)

    write_folder(folder, fill)
    return weights_bytes(folder)


def load_pipeline(folder: Path) -> tuple[Any, list[str]]:
    """The exported pipeline in float32 on the CPU, and the labels that it was taught.

    Raises:
        TrainingError: the folder is missing or damaged.
    """
    with reading(folder):
        pipeline: Any = StableDiffusionPipeline.from_pretrained(
            str(folder), local_files_only=True, dtype=torch.float32
        )
        labels = (folder / LABELS).read_text(encoding="utf-8").splitlines()
    return pipeline, labels


def _copy_parts(recipe: Recipe, parts: Path, folder: Path) -> None:
    for name, part in PARTS.items():
        shutil.copytree(parts / part, folder / name, ignore=shutil.ignore_patterns("stage.json"))
    _write_json(
        folder / "scheduler" / "scheduler_config.json", scheduler_config(recipe.unet.schedule)
    )
    _write_json(folder / "model_index.json", MODEL_INDEX)
    shutil.copy2(parts / "refined" / LABELS, folder / LABELS)


def _keep_others(old: Path, new: Path) -> None:
    """What is in the old folder but not in the new one."""
    for each in old.iterdir() if old.is_dir() else ():
        if not (new / each.name).exists():
            (shutil.copytree if each.is_dir() else shutil.copy2)(each, new / each.name)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
