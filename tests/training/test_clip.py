"""Both encoders, and what is kept of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.clip import (
    contrastive_loss,
    embed_pictures,
    embed_texts,
    load_clip,
    retrieval,
    save_clip,
)
from training.contrast import ClipStage, augment
from training.data import PictureSet
from training.order import draw_of
from training.recipes import TINY
from training.tokenizer import build_tokenizer, load_tokenizer, save_tokenizer


@pytest.fixture
def stage(pictures: PictureSet, tmp_path: Path) -> ClipStage:
    save_tokenizer(build_tokenizer([]), 24, tmp_path / "tokenizer")
    torch.manual_seed(0)
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    return ClipStage("clip", TINY.clip, pictures, tokenizer, torch.device("cpu"))


def test_what_is_saved_embeds_alike(stage: ClipStage, pictures: PictureSet, tmp_path: Path) -> None:
    clip, batch = stage.model.eval(), pictures.batch(np.arange(4))
    texts, points = embed_texts(clip, ["red apple", ""]), embed_pictures(clip, batch)
    assert torch.allclose(points.norm(dim=1), torch.ones(4))
    save_clip(clip, tmp_path / "clip")
    loaded = load_clip(tmp_path / "clip", torch.device("cpu"))
    assert torch.allclose(embed_texts(loaded, ["red apple", ""]), texts, atol=0.01)
    assert torch.allclose(embed_pictures(loaded, batch), points, atol=0.01)


def test_the_held_out_style_is_never_drawn(stage: ClipStage, pictures: PictureSet) -> None:
    held_out = pictures.styles.index("twemoji")
    assert all(pictures.style_of[row] != held_out for rows in stage.rows_of for row in rows)


def test_the_loss_is_least_where_each_finds_its_own() -> None:
    points, scale = torch.eye(4), torch.tensor(100.0)
    assert contrastive_loss(points, points, scale) < 1e-6
    assert contrastive_loss(points, points.roll(1, dims=0), scale) > 50


def test_retrieval_counts_the_texts_that_find_their_picture() -> None:
    points = torch.eye(4)
    assert retrieval(points, points) == 1.0
    assert retrieval(points, points[[0, 1, 3, 2]]) == 0.5


def test_augmented_pictures_stay_pictures_on_white(pictures: PictureSet) -> None:
    batch = pictures.batch(np.arange(8))
    once = augment(batch, draw_of(0, 0), TINY.clip.augmentation)
    again = augment(batch, draw_of(0, 0), TINY.clip.augmentation)
    assert torch.equal(once, again)
    assert once.shape == batch.shape
    assert float(once[:, :, 0, 0].mean()) > 0.8
