"""What the Kullback-Leibler term does to an autoencoder's latents (Kingma and Welling 2014).

Two small autoencoders, trained alike but for that term. The first rows go from one picture to
another through latent space; the last ones decode latents drawn from the Gaussian of each one's own
mean and deviation, each cell apart from its neighbours. That is no thing for either decoder. The
less the latents are such a cloud, the further it is from all that the decoder has seen.
"""

import torch
from diffusers import AutoencoderKL
from matplotlib.figure import Figure
from torch import Tensor

from training.lecture.arithmetic import mixed
from training.lecture.grid import Pictures, grid
from training.lecture.studio import Studio, as_pictures, as_tensor
from training.vae import decode, encode

FIRST, SECOND, SEED = "penguin", "mushroom", 1
SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0)
NAMES = {"with KL": "vae_with_kl", "without KL": "vae_without_kl"}


def draw(studio: Studio) -> Figure:
    ends = as_tensor(studio.draw([FIRST, SECOND], [SEED, SEED]))
    vaes = {name: studio.small_vae(part) for name, part in NAMES.items()}
    between = {f"between,\n{name}": _between(vae, ends) for name, vae in vaes.items()}
    sampled = {f"sampled,\n{name}": _sampled(vae, ends) for name, vae in vaes.items()}
    rows = between | sampled
    return grid(list(rows.values()), beside=list(rows))


def _between(vae: AutoencoderKL, ends: Tensor) -> Pictures:
    return as_pictures(decode(vae, mixed(encode(vae, ends), SHARES)))


def _sampled(vae: AutoencoderKL, ends: Tensor) -> Pictures:
    size = (len(SHARES), *encode(vae, ends).shape[1:])
    return as_pictures(decode(vae, torch.randn(size, generator=torch.Generator().manual_seed(0))))
