"""The sample pictures, and the tiny recipe's work folder with them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.samples import options, synthetic_pictures
from training.__main__ import main
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, which only root may make."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `all` has run with the tiny recipe."""
    folder = tmp_path_factory.mktemp("training")
    save_pictures(synthetic_pictures(), TINY.data, folder / "work" / "pictures")
    assert main(["all", *options(folder)]) == 0
    return folder
