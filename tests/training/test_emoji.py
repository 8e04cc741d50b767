"""Fetching and reading, on packages made here."""

import io
import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.data import make_pictures
from training.emoji import Concept, _integrity, collect, fetch
from training.errors import TrainingError
from training.recipe import DataRecipe
from training.sources import EmojiSet, Package

ENTRIES = [
    {"label": "red apple", "hexcode": "1F34E", "tags": ["fruit"], "group": 4, "subgroup": 42},
    {"label": "one o’clock", "hexcode": "1F550-FE0F", "tags": [], "group": 5, "subgroup": 55},  # noqa: RUF001
    {"label": "flag: Chad", "hexcode": "1F1F9-1F1E9", "tags": [], "group": 9, "subgroup": 99},
    {"label": "regional indicator A", "hexcode": "1F1E6"},
]
GROUPS = {
    "groups": {"4": "food-drink", "5": "travel-places", "9": "flags"},
    "subgroups": {"42": "food-fruit", "55": "time", "99": "country-flag"},
}
RED = '<rect width="16" height="16" fill="#f00"/>'
BLUE = '<circle cx="8" cy="4" r="4" fill="#00f"/>'
WITH_CHARS = {
    "icons.json": {
        "icons": {"red-apple": {"body": RED}, "one-oclock": {"body": BLUE, "height": 8}},
        "width": 16,
        "height": 16,
    },
    "chars.json": {"1f34e": "red-apple", "1f550": "one-oclock"},
}
WITHOUT_CHARS = {
    "icons.json": {"icons": {"redapple": {"body": BLUE}, "unknown": {"body": RED}}},
    "chars.json": {},
}


def pack(path: Path, files: dict[str, Any]) -> Package:
    """A package's archive in the cache; its name and hash."""
    name, version = path.stem.rsplit("-", 1)
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for member, content in files.items():
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(f"package/{member}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return Package(name, version, _integrity(path))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "packages"


@pytest.fixture
def recipe(cache: Path) -> DataRecipe:
    labels = {"en/data.json": ENTRIES, "meta/groups.json": GROUPS}
    sets = (
        EmojiSet("plain", pack(cache / "one-1.tgz", WITH_CHARS), "MIT", "A"),
        EmojiSet("other", pack(cache / "two-1.tgz", WITHOUT_CHARS), "MIT", "B"),
    )
    return DataRecipe(sets, pack(cache / "labels-1.tgz", labels), size=32, margin=4)


def test_concepts_have_plain_labels_and_no_flags(recipe: DataRecipe, cache: Path) -> None:
    concepts, _ = collect(recipe, cache)
    assert concepts == [
        Concept("1f34e", "red apple", ("fruit",), "food-drink", "food-fruit"),
        Concept("1f550", "one o'clock", (), "travel-places", "time"),
    ]


def test_a_set_without_code_points_is_matched_by_name(recipe: DataRecipe, cache: Path) -> None:
    _, icons = collect(recipe, cache)
    assert [icon.code for icon in icons["plain"]] == ["1f34e", "1f550"]
    assert [icon.code for icon in icons["other"]] == ["1f34e"]


def test_pictures_stand_on_white_with_a_margin(recipe: DataRecipe, cache: Path) -> None:
    pictures = make_pictures(recipe, cache)
    assert pictures.pixels.shape == (3, 32, 32, 3)
    assert pictures.style_of.tolist() == [0, 0, 1]
    assert pictures.concept_of.tolist() == [0, 1, 0]
    square = pictures.pixels[0]
    assert (square[:4] == 255).all()
    assert (square[4:28, 4:28] == [255, 0, 0]).all()
    half = pictures.pixels[1]  # 16 x 8: as wide as the square, in its middle
    assert (half[:9] == 255).all()
    assert np.argwhere(half[:, :, 0] == 0)[:, 0].min() >= 10


def test_a_damaged_archive_is_named(recipe: DataRecipe, cache: Path) -> None:
    (cache / "one-1.tgz").write_bytes(b"not an archive")
    with pytest.raises(TrainingError, match=r"one-1\.tgz is damaged.*delete it"):
        collect(recipe, cache)


def test_an_archive_without_its_file_is_named(cache: Path) -> None:
    package = pack(cache / "empty-1.tgz", {})
    recipe = DataRecipe((), package)
    with pytest.raises(TrainingError, match=r"no readable meta/groups\.json"):
        collect(recipe, cache)


def test_missing_npm_is_said_in_a_sentence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TrainingError, match=r"there is no `npm` command: install Node\.js"):
        fetch(Package("@scope/some", "1.0.0", ""), cache)


def fake_npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    npm.chmod(npm.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_failing_npm_is_said_in_a_sentence(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm(tmp_path, "exit 7", monkeypatch)
    with pytest.raises(TrainingError, match=r"exit code 7\): check the network"):
        fetch(Package("@scope/some", "1.0.0", ""), cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["code E404", "404 Not Found - GET some"], "404 Not Found - GET some"),
        (["code ETARGET", "notarget No version."], "notarget No version"),
        (["code ENOSPC", "syscall write", "errno -28", "nospc ENOSPC: full"], "nospc ENOSPC: full"),
    ],
)
def test_npm_s_own_reason_is_said(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], reason: str
) -> None:
    said = "\n".join(f"npm error {line}" for line in lines)
    fake_npm(tmp_path, f"echo '{said}' >&2; exit 1", monkeypatch)
    with pytest.raises(TrainingError, match=rf"\({reason}\): check the network"):
        fetch(Package("@scope/some", "1.0.0", ""), cache)


def test_a_cache_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_npm(tmp_path, "exit 0", monkeypatch)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TrainingError, match=r"could not be written \(Not a directory\)"):
        fetch(Package("some", "1.0.0", ""), tmp_path / "file" / "packages")


def test_a_full_disk_while_packages_are_fetched_is_one_sentence(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "head -c 4000000 /dev/zero >x.tgz || { echo 'npm error nospc full' >&2; exit 1; }"
    fake_npm(tmp_path, script, monkeypatch)
    with pytest.raises(TrainingError, match=r"\(nospc full\): check the network and the disk"):
        fetch(Package("some", "1.0.0", ""), small_disk / "packages")
    assert list((small_disk / "packages").iterdir()) == []


def test_fetching_shows_which_package_is_on_its_way(
    recipe: DataRecipe, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(recipe, cache)
    said = capsys.readouterr().err
    assert "packages" in said
    assert "3/3" in said
    assert "two 1" in said


def test_a_package_is_fetched_once(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pack(tmp_path / "made" / "x-1.tgz", WITH_CHARS)
    package = Package("@scope/some", "1.0.0", made.integrity)
    fake_npm(tmp_path, f"cp {tmp_path}/made/x-1.tgz scope-some-1.0.0.tgz", monkeypatch)
    path = fetch(package, cache)
    assert path.name == "scope-some-1.0.0.tgz"
    fake_npm(tmp_path, "exit 1", monkeypatch)
    assert fetch(package, cache) == path
