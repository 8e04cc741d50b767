"""What diffusers' own pipeline makes of a request, from the very modules that the engine holds."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.callbacks import SDCFGCutoffCallback
from numpy.typing import NDArray
from torch import Tensor

from contract.rows import guided_steps
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
    guidance_start: float = 0.0
    guidance_stop: float = 1.0

    def picture(self, model: Model, key: Hashable) -> Picture:
        table = build_table(self.sampler, self.steps, model.scheduler_config)
        interval = (self.guidance_start, self.guidance_stop)
        guided = table.evaluations(guided_steps(self.guidance, *interval, self.steps))
        return Picture(
            key=key,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            guidance=self.guidance,
            seed=self.seed,
            width=self.width,
            height=self.height,
            table=table,
            is_urgent=self.is_urgent,
            guided_from=guided.start,
            guided_until=guided.stop,
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
    pipeline, picture = diffusers_pipeline(model, wish.sampler), wish.picture(model, "")
    switch = _switch(picture)

    def keep(
        pipeline: Any, step: int, timestep: Any, tensors: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        last["latents"] = tensors["latents"].clone()
        return switch(pipeline, step, timestep, tensors)

    made = pipeline(
        wish.prompt,
        negative_prompt=wish.negative_prompt,
        num_inference_steps=wish.steps,
        guidance_scale=wish.guidance if picture.rows_at(0) == 2 else 1.0,
        width=wish.width,
        height=wish.height,
        num_images_per_prompt=images,
        generator=[torch.Generator().manual_seed(wish.seed + i) for i in range(images)],
        callback_on_step_end=keep,
        callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"],
    )
    return Reference(last["latents"], np.stack([np.asarray(picture) for picture in made.images]))


def _switch(picture: Picture) -> Callable[..., Any]:
    """Ends the guidance of a pipeline's one picture by diffusers' own callback, which acts after a
    step, and begins it, where it does not from the first step on, by the same means."""
    ends = SDCFGCutoffCallback(cutoff_step_ratio=None, cutoff_step_index=picture.guided_until - 1)

    def switch(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Tensor]) -> Any:
        if picture.is_guided and step + 1 == picture.guided_from:
            texts = (picture.prompt, pipeline.device, 1, True, picture.negative_prompt)
            prompt, negative = pipeline.encode_prompt(*texts)
            pipeline._guidance_scale = picture.guidance
            return {"prompt_embeds": torch.cat([negative, prompt])}
        return ends(pipeline, step, timestep, tensors)

    return switch
