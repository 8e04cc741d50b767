"""The autoencoder's parts."""

import numpy as np
import pytest
import torch

from training.data import PictureSet
from training.order import draw_of
from training.recipes import TINY
from training.vae import (
    DecoderStage,
    build_vae,
    decode,
    edge_loss,
    encode,
    kl_divergence,
    normalise_latents,
    psnr,
    pyramid_loss,
)

FIRST = ("round sun", "square leaf")


def test_a_latent_is_an_eighth_of_the_side(pictures: PictureSet) -> None:
    vae = build_vae(TINY.vae, 32)
    latents = encode(vae, pictures.batch(np.arange(3)))
    assert latents.shape == (3, 4, 4, 4)
    assert decode(vae, latents).shape == (3, 3, 32, 32)


def test_normalising_changes_the_latents_but_no_reconstruction(pictures: PictureSet) -> None:
    torch.manual_seed(0)
    vae = build_vae(TINY.vae, 32)
    batch = pictures.batch(np.arange(16))
    before = decode(vae, encode(vae, batch))
    normalise_latents(vae, encode(vae, batch))
    latents = encode(vae, batch)
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert float(latents.std()) == pytest.approx(1.0, abs=1e-3)
    assert torch.allclose(decode(vae, latents), before, atol=1e-4)


def test_psnr_of_a_known_error() -> None:
    black = np.zeros((1, 4, 4, 3), np.uint8)
    assert psnr(black, black + 255)[0] == pytest.approx(0.0)
    assert psnr(black, black + 51)[0] == pytest.approx(20 * np.log10(5))


def test_losses_of_equal_pictures_are_nothing() -> None:
    picture = torch.rand(1, 3, 16, 16)
    assert edge_loss(picture, picture) == pyramid_loss(picture, picture, 3) == 0


def test_an_even_shift_has_no_edges_and_only_the_coarsest_level() -> None:
    picture = torch.zeros(1, 3, 16, 16)
    assert edge_loss(picture + 0.5, picture) == 0
    assert pyramid_loss(picture + 0.5, picture, 3) == pytest.approx(0.5)


def test_the_divergence_of_the_standard_normal_from_itself_is_nothing() -> None:
    assert kl_divergence(torch.zeros(5), torch.zeros(5)) == 0
    assert kl_divergence(torch.ones(5), torch.zeros(5)) == 0.5


def test_a_decoder_that_learns_on_leaves_the_latents_as_they_are(pictures: PictureSet) -> None:
    vae = build_vae(TINY.vae, 32).requires_grad_(False)
    is_held_out = np.arange(len(pictures)) < 8
    stage = DecoderStage("decoder", TINY.decoder, pictures, is_held_out, vae, FIRST)
    stage.loss(draw_of(0, 0)).total.backward()
    learning = {name for name, weight in vae.named_parameters() if weight.grad is not None}
    assert {name.partition(".")[0] for name in learning} == {"decoder", "post_quant_conv"}


def test_pictures_of_the_favoured_style_and_the_first_labels_come_more_often(
    pictures: PictureSet,
) -> None:
    is_held_out = np.arange(len(pictures)) % 4 == 1
    vae = build_vae(TINY.vae, 32)
    stage = DecoderStage("decoder", TINY.decoder, pictures, is_held_out, vae, FIRST)
    flat = set(pictures.rows(TINY.decoder.favoured_style).tolist())
    counts = dict(zip(*np.unique(stage.seen, return_counts=True), strict=True))
    first = {row for row in flat if pictures.concepts[pictures.concept_of[row]].label in FIRST}
    assert first
    assert {counts[row] for row in counts if row in first} == {TINY.decoder.favoured_first}
    assert {counts[row] for row in counts if row in flat - first} == {TINY.decoder.favoured}
    assert {counts[row] for row in counts if row not in flat} == {1}
    assert not counts.keys() & set(np.flatnonzero(is_held_out).tolist())
