"""The autoencoder: a picture becomes a latent of an eighth of its side, and comes back.

A variational autoencoder (Kingma & Welling 2014) in the form of latent diffusion (Rombach et al.
2022, section 3.1): the encoder gives a Gaussian for each latent value, a small pull towards N(0, 1)
(the KL term) keeps latent space smooth and of a known scale, and the decoder draws the picture. Its
pictures would be soft with a squared error alone. Rombach et al. add a perceptual loss (LPIPS) and
a discriminator; here edges and a Laplacian pyramid do that, which need no weights of others.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data import PictureSet, to_uint8
from training.loop import Loss
from training.optimiser import Trained
from training.order import Draw
from training.parts import reading
from training.recipe import DecoderRecipe, VaeRecipe
from training.sheet import save_sheet

EVALUATION_BATCH = 16
SHOWN = 32


def build_vae(recipe: VaeRecipe, size: int) -> AutoencoderKL:
    levels = len(recipe.channels)
    return AutoencoderKL(
        sample_size=size,
        block_out_channels=recipe.channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=recipe.layers,
        latent_channels=recipe.latent_channels,
        norm_num_groups=recipe.norm_groups,
        mid_block_add_attention=recipe.mid_attention,
        scaling_factor=1.0,
    )


def load_vae(folder: Path, device: torch.device) -> AutoencoderKL:
    """In float32, ready to be called.

    Raises:
        TrainingError: the folder is missing or damaged.
    """
    with reading(folder):
        vae = AutoencoderKL.from_pretrained(
            str(folder), local_files_only=True, torch_dtype=torch.float32
        )
    return vae.to(device).eval().requires_grad_(False)


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """The latents that a diffusion model sees, of standard deviation 1.

    Args:
        vae: the autoencoder.
        pictures: [rows, 3, height, width] from -1 to 1.

    Returns:
        [rows, channels, height/8, width/8] float32: the Gaussians' means, scaled.
    """
    batches = torch.split(pictures.to(vae.device), EVALUATION_BATCH)
    means = [vae.encode(batch).latent_dist.mode().float() for batch in batches]
    return torch.cat(means) * float(vae.config.scaling_factor)


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """The way back: [rows, 3, height, width] float32, about -1 to 1."""
    scaled = latents.to(vae.device) / float(vae.config.scaling_factor)
    batches = torch.split(scaled, EVALUATION_BATCH)
    return torch.cat([vae.decode(batch).sample.float() for batch in batches])


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """[pictures]: peak signal-to-noise ratio in dB, 10 log10(255^2 / mean squared error)."""
    error = (one.astype(np.float64) - other.astype(np.float64)) ** 2
    mean = error.reshape(len(one), -1).mean(axis=1)
    ratios: NDArray[np.float64] = 10 * np.log10(255.0**2 / np.maximum(mean, 1e-10))
    return ratios


def edge_loss(made: Tensor, true: Tensor) -> Tensor:
    """Mean absolute error of horizontal and vertical differences."""
    error = made - true
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return across + down


def pyramid_loss(made: Tensor, true: Tensor, levels: int) -> Tensor:
    """Mean absolute error over a Laplacian pyramid (Burt & Adelson 1983), each level alike.

    The pyramid is linear, so that of the error is the error of the pyramids.
    """
    error, total = made - true, made.new_zeros(())
    for _ in range(levels):
        coarse = F.avg_pool2d(error, 2)
        total = total + (error - F.interpolate(coarse, scale_factor=2.0)).abs().mean()
        error = coarse
    return total + error.abs().mean()


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """From N(0, 1), in nats per latent value (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()


class VaeStage:
    """Learns to reconstruct; half of the pictures are mirrored."""

    def __init__(
        self,
        name: str,
        recipe: VaeRecipe,
        pictures: PictureSet,
        is_held_out: NDArray[np.bool_],
        device: torch.device,
    ) -> None:
        self.name, self.recipe, self.pictures, self.device = name, recipe, pictures, device
        self.model = build_vae(recipe, pictures.pixels.shape[1]).to(device)
        self.seen = np.flatnonzero(~is_held_out)
        self.unseen = np.flatnonzero(is_held_out)

    def trained(self) -> list[Trained]:
        return [Trained(self.model)]

    def loss(self, draw: Draw) -> Loss:
        true = self._batch(draw)
        posterior = self.model.encode(true).latent_dist
        noise = draw.normal(*posterior.mean.shape).to(self.device)
        made = self.model.decode(posterior.mean + posterior.std * noise).sample
        return self._compare(made.float(), true, posterior.mean.float(), posterior.logvar.float())

    def look(self, folder: Path, step: int) -> Mapping[str, float]:
        """PSNR on concepts that training never sees, in dB, and some of them before and after."""
        true = self.pictures.batch(self.unseen)
        latents = encode(self.model, true)
        made, true_pixels = to_uint8(decode(self.model, latents)), to_uint8(true)
        ratios = psnr(made, true_pixels)
        shown = np.linspace(0, len(made) - 1, SHOWN).astype(int)
        pairs = np.stack([true_pixels[shown], made[shown]], axis=1).reshape(-1, *made.shape[1:])
        save_sheet(folder / "looks" / f"{step:06}.png", pairs, columns=8)
        return {
            "psnr_db": float(ratios.mean()),
            "psnr_worst_tenth_db": float(np.quantile(ratios, 0.1)),
            "latent_std": float(latents.std()),
        }

    def _batch(self, draw: Draw) -> Tensor:
        rows = draw.rows(len(self.seen), self.recipe.optimisation.batch)
        pictures = self.pictures.batch(self.seen[rows.numpy()])
        mirrored = draw.uniform(len(rows)) < 0.5
        pictures[mirrored] = pictures[mirrored].flip(-1)
        return pictures.to(self.device)

    def _compare(self, made: Tensor, true: Tensor, mean: Tensor, log_variance: Tensor) -> Loss:
        recipe = self.recipe
        parts = {
            "absolute": (made - true).abs().mean(),
            "squared": ((made - true) ** 2).mean(),
            "edges": edge_loss(made, true),
            "pyramid": pyramid_loss(made, true, recipe.pyramid_levels),
            "kl": kl_divergence(mean, log_variance),
        }
        total = (
            parts["absolute"]
            + recipe.squared_weight * parts["squared"]
            + recipe.gradient_weight * parts["edges"]
            + recipe.pyramid_weight * parts["pyramid"]
            + recipe.kl_weight * parts["kl"]
        )
        return Loss(total, parts)


class DecoderStage(VaeStage):
    """The decoder alone learns on: the latents stay as the U-Net knows them.

    The encoder drops what it has no room for, such as the colour of a small leaf. What a known
    shape looks like is then for the decoder to know.
    """

    def __init__(
        self,
        name: str,
        recipe: DecoderRecipe,
        pictures: PictureSet,
        is_held_out: NDArray[np.bool_],
        finished: AutoencoderKL,
        first_labels: Collection[str],
    ) -> None:
        super().__init__(name, recipe.vae, pictures, is_held_out, finished.device)
        self.model = finished.requires_grad_(False)
        self._learning = nn.ModuleList([finished.post_quant_conv, finished.decoder])
        self._learning.requires_grad_(True)
        first = pictures.of_labels(first_labels)
        times = np.where(first, recipe.favoured_first, recipe.favoured)
        favoured = np.intersect1d(self.seen, pictures.rows(recipe.favoured_style))
        self.seen = np.concatenate([self.seen, np.repeat(favoured, times[favoured] - 1)])

    def trained(self) -> list[Trained]:
        return [Trained(self._learning)]


@torch.no_grad()
def normalise_latents(vae: AutoencoderKL, latents: Tensor) -> None:
    """Gives the latents mean 0 and standard deviation 1 (Rombach et al. 2022, section D.1).

    The deviation is undone by `scaling_factor`. The pipeline knows no mean, so each channel's goes
    into the 1x1 convolutions on either side of latent space, which changes no reconstruction.

    Args:
        vae: changed in place; its scaling_factor must be 1 so far.
        latents: [rows, channels, h, w], of many pictures.
    """
    mean = latents.mean(dim=(0, 2, 3))  # [channels]
    channels = len(mean)
    vae.quant_conv.bias[:channels] -= mean
    vae.post_quant_conv.bias += vae.post_quant_conv.weight[:, :, 0, 0] @ mean
    deviation = float((latents - mean[None, :, None, None]).std())
    vae.register_to_config(scaling_factor=round(1 / deviation, 6))
