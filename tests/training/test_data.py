"""The picture cache is whole, or says that it is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data import (
    INDEX,
    PIXELS,
    PictureSet,
    held_out,
    load_pictures,
    save_pictures,
    to_uint8,
)
from training.errors import TrainingError
from training.recipes import TINY


def test_pictures_come_back_as_they_were(pictures: PictureSet, tmp_path: Path) -> None:
    save_pictures(pictures, TINY.data, tmp_path)
    loaded = load_pictures(TINY.data, tmp_path)
    assert (loaded.pixels == pictures.pixels).all()
    assert loaded.concepts == pictures.concepts
    assert loaded.styles == pictures.styles


@pytest.mark.parametrize("name", [PIXELS, INDEX])
def test_a_corrupt_cache_is_named(pictures: PictureSet, tmp_path: Path, name: str) -> None:
    save_pictures(pictures, TINY.data, tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[0] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=f"{name} is damaged: delete the folder"):
        load_pictures(TINY.data, tmp_path)


def test_a_changed_label_is_found(pictures: PictureSet, tmp_path: Path) -> None:
    save_pictures(pictures, TINY.data, tmp_path)
    text = (tmp_path / INDEX).read_text(encoding="utf-8")
    (tmp_path / INDEX).write_text(text.replace("round apple", "round pear"), encoding="utf-8")
    with pytest.raises(TrainingError, match="is damaged: delete the folder"):
        load_pictures(TINY.data, tmp_path)


def test_pictures_of_another_recipe_are_refused(pictures: PictureSet, tmp_path: Path) -> None:
    save_pictures(pictures, TINY.data, tmp_path)
    with pytest.raises(TrainingError, match="pictures of another recipe"):
        load_pictures(replace(TINY.data, margin=1), tmp_path)


def test_missing_pictures_say_which_stage_makes_them(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="python -m training data"):
        load_pictures(TINY.data, tmp_path)


def test_a_concept_is_held_out_in_every_style(pictures: PictureSet) -> None:
    kept_back = held_out(pictures, TINY.data)
    concepts = set(pictures.concept_of[kept_back])
    assert kept_back.sum() == len(concepts) * len(pictures.styles)


def test_a_batch_turns_back_into_the_same_pixels(pictures: PictureSet) -> None:
    rows = np.array([3, 5])
    batch = pictures.batch(rows)
    assert batch.shape == (2, 3, 32, 32)
    assert float(batch.max()) == 1.0
    assert (to_uint8(batch) == pictures.pixels[rows]).all()
