"""A linear autoencoder finds the subspace that PCA finds (Baldi and Hornik 1989).

PCA takes the directions in which pictures differ most: the right singular vectors of the centred
pictures. A linear encoder and decoder, trained by gradient descent to bring the pictures back, end
in the same subspace, though not with the same axes. On the left the error that k directions leave;
on the right the cosines of the angles between the two subspaces: all 1 where they are the same.
A VAE is what comes of making both halves deep and giving the latents a scale.
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from training.lecture.studio import Studio

SIDE = 12  # pixels, to which the pictures are scaled down
SIZES = (1, 2, 4, 8, 16)
TRAINING_STEPS, LEARNING_RATE = 3000, 1e-2


def draw(studio: Studio) -> Figure:
    pictures = flattened(torch.from_numpy(studio.gallery))
    axes = {k: (principal_axes(pictures, k), linear_autoencoder(pictures, k)) for k in SIZES}
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    error, angles = figure.subplots(1, 2)
    error.plot(SIZES, [lost(pictures, axes[k][0]) for k in SIZES], "o-", label="PCA")
    error.plot(SIZES, [lost(pictures, axes[k][1]) for k in SIZES], "x--", label="autoencoder")
    error.set(xlabel="directions kept", ylabel="share of the variance that is lost", ylim=(0, 1))
    error.legend()
    cosines = torch.linalg.svdvals(axes[SIZES[-1]][0].T @ axes[SIZES[-1]][1])
    angles.bar(np.arange(1, len(cosines) + 1), cosines)
    angles.set(xlabel=f"angle, of {SIZES[-1]}", ylabel="cosine", ylim=(0, 1.05))
    return figure


def flattened(pictures: Tensor) -> Tensor:
    """[pictures, values] small and centred, from [pictures, height, width, 3]."""
    small = torch.nn.functional.interpolate(
        pictures.permute(0, 3, 1, 2), size=(SIDE, SIDE), mode="area"
    )
    values = small.flatten(1)
    return values - values.mean(dim=0)


def principal_axes(pictures: Tensor, k: int) -> Tensor:
    """[values, k] an orthonormal basis of the k directions of most variance."""
    _, _, directions = torch.linalg.svd(pictures, full_matrices=False)
    axes: Tensor = directions[:k].T
    return axes


def linear_autoencoder(pictures: Tensor, k: int) -> Tensor:
    """[values, k] an orthonormal basis of what a trained decoder can reach."""
    values = pictures.shape[1]
    decoder = torch.randn(k, values, generator=torch.Generator().manual_seed(0)) / values**0.5
    encoder = decoder.T.clone().requires_grad_()
    decoder.requires_grad_()
    optimizer = torch.optim.Adam([encoder, decoder], lr=LEARNING_RATE)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TRAINING_STEPS)
    for _ in range(TRAINING_STEPS):
        optimizer.zero_grad()
        loss = (pictures @ encoder @ decoder - pictures).square().sum(dim=1).mean()
        loss.backward()
        optimizer.step()
        slower.step()
    basis: Tensor = torch.linalg.qr(decoder.detach().T).Q
    return basis


def lost(pictures: Tensor, axes: Tensor) -> float:
    """The share of the pictures' variance outside the subspace."""
    outside = pictures - pictures @ axes @ axes.T
    return float(outside.square().sum() / pictures.square().sum())
