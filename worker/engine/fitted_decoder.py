"""The VAE's decoder in as much memory as there is for it."""

from typing import Any

import torch
from torch import Tensor

from worker.engine.memory_plan import MemoryPlan
from worker.engine.model import Model, VaeCall


class FittedDecoder:
    """A decoder that is called for as many pictures at a time as the plan has room for, which
    changes none of them. A picture that is too large for that is decoded in tiles of the native
    size, as diffusers' `enable_tiling` does it: they overlap, and are blended where they do.
    """

    def __init__(self, decode: VaeCall, vae: Any, plan: MemoryPlan, tile: int, factor: int):
        """
        Args:
            vae: an AutoencoderKL of diffusers.
            tile: side of a tile, in cells.
            factor: pixels a cell.
        """
        self._decode = decode
        self._vae = vae
        self._plan = plan
        vae.tile_latent_min_size, vae.tile_sample_min_size = tile, tile * factor

    def __call__(self, latents: Tensor) -> Tensor:
        height, width = latents.shape[-2:]
        pictures = self._plan.pictures((height, width))
        if pictures == 0:
            return torch.cat([self._in_tiles(each) for each in torch.split(latents, 1)])
        parts = torch.split(latents, pictures)
        made = [self._decode(part) for part in parts]
        return made[0] if len(made) == 1 else torch.cat(made)

    def _in_tiles(self, latents: Tensor) -> Tensor:
        decoded: Tensor = self._vae.tiled_decode(latents, return_dict=False)[0]
        return decoded


def fit_decoder(model: Model, plan: MemoryPlan) -> VaeCall:
    tile = max(model.native_shape)
    return FittedDecoder(model.vae_call, model.vae, plan, tile, model.vae_scale_factor)
