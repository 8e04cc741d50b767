"""The shipped model, taken apart: every figure is drawn with what stands here."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from torch import Tensor

from training.clip import Clip, load_clip
from training.export import load_pipeline
from training.lecture.grid import Pictures
from training.vae import decode, encode, load_vae

Prompts = Sequence[str] | Tensor
"""Texts, or their embeddings [prompts, tokens, width]."""

BATCH = 16
GUIDANCE = 5.0
STEPS = 25
GALLERY, GALLERY_STEPS = 160, 12


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of sampling: what was seen, and what the U-Net took it for."""

    timestep: int
    noised: Tensor  # [pictures, channels, h, w] the latents before the step
    clean: Tensor  # [pictures, channels, h, w] the clean latents predicted from them
    after: Tensor  # [pictures, channels, h, w] the latents after the step


class Studio:
    """The folder of finished models, on the CPU in float32, so that each figure comes out alike."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._pipeline, self.labels = load_pipeline(models / "starter")
        self.config: Any = self._pipeline.scheduler.config

    @cached_property
    def judge(self) -> Clip:
        return load_clip(self._models / "judge", torch.device("cpu"))

    def small_vae(self, part: str) -> AutoencoderKL:
        return load_vae(self._models / "parts" / part, torch.device("cpu"))

    @cached_property
    def alpha_bar(self) -> Tensor:
        """[timesteps] the share of the signal's variance that is left at each timestep."""
        cumulated: Tensor = self._pipeline.scheduler.alphas_cumprod
        return cumulated

    @torch.inference_mode()
    def embed(self, prompts: Prompts) -> Tensor:
        """[prompts, tokens, width] what the U-Net is told."""
        if isinstance(prompts, Tensor):
            return prompts
        tokenizer = self._pipeline.tokenizer
        tokens = tokenizer(
            list(prompts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        embeddings: Tensor = self._pipeline.text_encoder(tokens.input_ids)[0]
        return embeddings

    def noise(self, seeds: Sequence[int]) -> Tensor:
        """[seeds, channels, h, w] Gaussian noise, the same for the same seed."""
        config = self._pipeline.unet.config
        size = (1, config.in_channels, config.sample_size, config.sample_size)
        return torch.cat(
            [torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        )

    def encode(self, pictures: Pictures) -> Tensor:
        """The latents of pictures, scaled to unit variance as the U-Net knows them."""
        return encode(self._pipeline.vae, as_tensor(pictures))

    def decode(self, latents: Tensor) -> Pictures:
        return as_pictures(decode(self._pipeline.vae, latents))

    @cached_property
    def gallery(self) -> Pictures:
        """One picture of each label, for the figures that want many."""
        labels = self.labels[:: max(1, len(self.labels) // GALLERY)][:GALLERY]
        return self.draw(labels, range(len(labels)), steps=GALLERY_STEPS)

    @torch.inference_mode()
    def sample(
        self,
        prompts: Prompts,
        seeds: Sequence[int],
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        scheduler: Any = None,
    ) -> Iterator[Moment]:
        """The loop of every diffusion model, one moment at a time.

        Each step asks the U-Net twice, with the prompt and with none, and goes beyond the first in
        the direction away from the second (classifier-free guidance, Ho and Salimans 2022).
        """
        scheduler = scheduler or DDIMScheduler.from_config(self.config)
        scheduler.set_timesteps(steps)
        told = torch.cat([self.embed([""] * len(prompts)), self.embed(prompts)])
        latents = self.noise(seeds) * scheduler.init_noise_sigma
        fresh = torch.Generator().manual_seed(seeds[0])  # of the samplers that add noise
        for timestep in scheduler.timesteps:
            seen = scheduler.scale_model_input(latents, timestep)
            answers = self._pipeline.unet(torch.cat([seen, seen]), timestep, told).sample
            without, within = answers.chunk(2)
            answer = without + guidance * (within - without)
            clean = self.clean(seen, answer, int(timestep))
            takes = inspect.signature(scheduler.step).parameters
            options = {"generator": fresh} if "generator" in takes else {}
            after = scheduler.step(answer, timestep, latents, **options).prev_sample
            yield Moment(int(timestep), latents, clean, after)
            latents = after

    def clean(self, latents: Tensor, answer: Tensor, timestep: int) -> Tensor:
        """The clean latents that an answer of the U-Net stands for, x0 = a x - s v (Salimans and
        Ho 2022, section 4) where it predicts v, x0 = (x - s e) / a where it predicts the noise."""
        a, s = self.alpha_bar[timestep].sqrt(), (1 - self.alpha_bar[timestep]).sqrt()
        if self.config.prediction_type == "v_prediction":
            return a * latents - s * answer
        return (latents - s * answer) / a

    def draw(self, prompts: Prompts, seeds: Sequence[int], **options: Any) -> Pictures:
        """A picture for each prompt and seed; takes the options of `sample`."""
        batches = []
        for first in range(0, len(prompts), BATCH):
            part = slice(first, first + BATCH)
            *_, last = self.sample(prompts[part], seeds[part], **options)
            batches.append(self.decode(last.after))
        return np.concatenate(batches)


def as_tensor(pictures: Pictures) -> Tensor:
    """[pictures, 3, height, width] from -1 to 1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) * 2 - 1


def as_pictures(pixels: Tensor) -> Pictures:
    """The way back from `as_tensor`."""
    pictures: Pictures = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return pictures
