import shutil
from pathlib import Path

import pytest

from worker.engine.fingerprint import fingerprint

SIZE = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model" / "unet").mkdir(parents=True)
    (tmp_path / "model" / "unet" / "config.json").write_text("{}")
    weights = bytes(range(256)) * (SIZE // 256)
    (tmp_path / "model" / "unet" / "weights.safetensors").write_bytes(weights)
    return tmp_path / "model"


def test_equal_files_have_one_name_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    assert fingerprint(copy) == fingerprint(folder)


@pytest.mark.parametrize("place", [0, SIZE // 3, -1])
def test_other_weights_have_another_name(folder: Path, place: int) -> None:
    before = fingerprint(folder)
    weights = bytearray((folder / "unet" / "weights.safetensors").read_bytes())
    weights[place] ^= 1
    (folder / "unet" / "weights.safetensors").write_bytes(weights)
    assert fingerprint(folder) != before


def test_another_configuration_has_another_name(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "unet" / "config.json").write_text("[]")
    assert fingerprint(folder) != before


def test_what_lies_beside_the_parts_does_not_count(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "README.md").write_text("hello")
    assert fingerprint(folder) == before
