"""Devices for the policies: diffusers' own pipeline on a real one, and one that is a table."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from simulated.step_times import StepTimes
from torch import Tensor

from policy.serving import Pixels
from policy.traffic import Request
from policy.virtual_clock import VirtualClock
from worker.engine.device import finish
from worker.engine.model import Model, Shape, UnetCall
from worker.engine.sampler import make_scheduler

TEXT_S = 0.004
"""A call of diffusers' pipeline for its texts on an H100: an estimate. It is the host's launching
of some two hundred small kernels; their arithmetic is a two-thousandth of a picture's."""

ENGINE_TEXT_S = 0.001
"""Of the engine, for each text: the same kernels alone, since it asks for them while the GPU is at
the step before. An estimate as well."""

STEP_OVERHEAD = 1.02
"""A step over its U-Net call, for diffusers' pipeline and the engine alike: an estimate. Both
launch some thirty small kernels more. The H100's runs (docs/benchmarks/gpu-h100.json) say 1.02 of
diffusers, and 1.06 and 1.01 of the engine; but their U-Net calls themselves differ by a tenth."""


class DiffusersPipeline:
    """StableDiffusionPipeline with the model's own U-Net and decoder calls, so that policies differ
    by nothing but their policy: where the engine's calls are recorded or compiled, these are."""

    def __init__(self, model: Model, clock: VirtualClock):
        # Imported once the libraries are quiet, as in engine.py.
        from tests.reference import diffusers_pipeline

        self._model = model
        self._clock = clock
        self._pipeline = diffusers_pipeline(model, "ddim")
        self._pipeline.unet = _with_call(model)
        self._pipeline.vae = _with_decoder(model)

    def develop(self, requests: Sequence[Request]) -> Sequence[Pixels]:
        first = requests[0]
        # As the engine does, whose recorded calls would not take other tensors.
        with self._clock.measured(), torch.inference_mode():
            self._pipeline.scheduler = make_scheduler(first.sampler, self._model.scheduler_config)
            pictures = self._pipeline(
                [request.prompt for request in requests],
                negative_prompt=[""] * len(requests),
                num_inference_steps=first.steps,
                guidance_scale=first.guidance,
                width=first.width,
                height=first.height,
                generator=[torch.Generator().manual_seed(request.seed) for request in requests],
                output_type="np",
            ).images
            finish(self._model.device)
        return list((pictures * 255).round().astype(np.uint8))


def _with_call(model: Model) -> Any:
    unet = copy.copy(model.unet)  # the weights are shared

    def forward(
        sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, **_: object
    ) -> tuple[Tensor]:
        timesteps = timestep.to(sample.device, torch.float32).expand(len(sample))
        return (model.unet_call(sample, timesteps, encoder_hidden_states),)

    unet.forward = forward
    return unet


def _with_decoder(model: Model) -> Any:
    vae = copy.copy(model.vae)

    def decode(latents: Tensor, **_: object) -> tuple[Tensor]:
        return (model.vae_call(latents),)

    vae.decode = decode
    return vae


@dataclass(frozen=True, slots=True)
class Table:
    """A device that takes as long as a measured one took. Other sizes than the native one are in
    proportion to their area: an estimate."""

    times: StepTimes
    native: Shape  # in latent space, which may be a small one that stands for the measured one

    def unet_s(self, rows: int, shape: Shape) -> float:
        return self.times.step_s(rows * self.area(shape))

    def decoder_s(self, pictures: int, shape: Shape) -> float:
        return self.times.decode_s(pictures * self.area(shape))

    def area(self, shape: Shape) -> float:
        return shape[0] * shape[1] / (self.native[0] * self.native[1])


class TablePipeline:
    """What diffusers' pipeline does, in time alone."""

    def __init__(self, model: Model, table: Table, clock: VirtualClock):
        self._model = model
        self._table = table
        self._clock = clock

    def develop(self, requests: Sequence[Request]) -> Sequence[Pixels]:
        first, pictures = requests[0], len(requests)
        shape = self._model.shape(first.width, first.height)
        step_s = STEP_OVERHEAD * self._table.unet_s(first.rows * pictures, shape)
        decode_s = self._table.decoder_s(pictures, shape)
        self._clock.spend(TEXT_S + first.steps * step_s + decode_s)
        return []


def simulated(
    model: Model,
    table: Table,
    clock: VirtualClock,
    around: Callable[[UnetCall], UnetCall] = lambda call: call,
) -> Model:
    """The model with calls that compute nothing and take their time on the clock.

    Args:
        around: what stands between the engine and the U-Net, such as padding to a bucket.
    """

    def unet_call(latents: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
        clock.spend(STEP_OVERHEAD * table.unet_s(len(latents), _shape(latents)))
        return torch.zeros_like(latents)

    def vae_call(latents: Tensor) -> Tensor:
        clock.spend(table.decoder_s(len(latents), _shape(latents)))
        height, width = (side * model.vae_scale_factor for side in _shape(latents))
        return latents.new_zeros(len(latents), 3, height, width)

    return replace(
        model,
        unet_call=around(unet_call),
        vae_call=vae_call,
        text_encoder=_SimulatedTextEncoder(model, clock),
    )


class _SimulatedTextEncoder:
    def __init__(self, model: Model, clock: VirtualClock):
        self.config = model.text_encoder.config
        self._clock = clock

    def __call__(self, tokens: Tensor, **_: object) -> tuple[Tensor]:
        self._clock.spend(ENGINE_TEXT_S)
        return (torch.zeros(*tokens.shape, self.config.hidden_size),)


def _shape(latents: Tensor) -> Shape:
    height, width = latents.shape[-2:]
    return height, width
