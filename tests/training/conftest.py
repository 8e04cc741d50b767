"""The sample pictures, and the tiny recipe's work folder with them."""

from pathlib import Path

import pytest
import torch

from tests.training.samples import synthetic_pictures
from training.data import PictureSet, save_pictures
from training.recipes import TINY
from training.workshop import Workshop


@pytest.fixture(scope="session")
def pictures() -> PictureSet:
    return synthetic_pictures()


@pytest.fixture
def shop(tmp_path: Path, pictures: PictureSet) -> Workshop:
    """A workshop whose data stage is done."""
    work = tmp_path / "work"
    save_pictures(pictures, TINY.data, work / "pictures")
    return Workshop(TINY, 0, work, tmp_path / "models", torch.device("cpu"))
