"""What diffusers' own pipeline makes of a request, from the very modules that the engine holds."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from torch import Tensor

from worker.engine.model import Model
from worker.engine.picture import Picture
from worker.engine.sampler import build_table, make_scheduler


@dataclass(frozen=True, slots=True)
class Wish:
    """One picture, in the words of a request. Width and height are in pixels."""

    sampler: str = "euler"
    steps: int = 8
    guidance: float = 7.5
    seed: int = 0
    prompt: str = "a red circle"
    negative_prompt: str = ""
    width: int = 64
    height: int = 64
    is_urgent: bool = False

    def picture(self, model: Model, key: Hashable) -> Picture:
        return Picture(
            key=key,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            guidance=self.guidance,
            seed=self.seed,
            width=self.width,
            height=self.height,
            table=build_table(self.sampler, self.steps, model.scheduler_config),
            is_urgent=self.is_urgent,
        )


@dataclass(frozen=True, slots=True)
class Reference:
    latents: Tensor  # [pictures, channels, h, w] in the model's dtype, after the last step
    pixels: NDArray[np.uint8]  # [pictures, height, width, 3] RGB


def diffusers_pipeline(model: Model, sampler: str) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline(
        vae=model.vae,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        unet=model.unet,
        scheduler=make_scheduler(sampler, model.scheduler_config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def develop(model: Model, wish: Wish, images: int = 1) -> Reference:
    """One pipeline call for `images` pictures with the seeds `wish.seed`, `wish.seed + 1`, ..."""
    last: dict[str, Tensor] = {}

    def keep(
        _pipeline: Any, _step: int, _timestep: Any, tensors: dict[str, Tensor]
    ) -> dict[Any, Any]:
        last["latents"] = tensors["latents"].clone()
        return {}

    made = diffusers_pipeline(model, wish.sampler)(
        wish.prompt,
        negative_prompt=wish.negative_prompt,
        num_inference_steps=wish.steps,
        guidance_scale=wish.guidance,
        width=wish.width,
        height=wish.height,
        num_images_per_prompt=images,
        generator=[torch.Generator().manual_seed(wish.seed + i) for i in range(images)],
        callback_on_step_end=keep,
    )
    return Reference(last["latents"], np.stack([np.asarray(picture) for picture in made.images]))
