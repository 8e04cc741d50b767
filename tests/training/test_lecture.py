import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from training.lecture import samplers, subspace
from training.lecture.__main__ import FIGURES, main
from training.lecture.subspace import linear_autoencoder, principal_axes
from training.parts import read_note

ROOT = Path(__file__).parents[2]
PAGE, PARTS = ROOT / "docs" / "how-it-works.md", ROOT / "models" / "parts"


def test_every_figure_is_drawn_from_the_shipped_folders(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers, "STEPS", (2, 4))
    monkeypatch.setattr(subspace, "SIZES", (1, 4))
    assert main(["--models", str(trained / "models"), "--out", str(tmp_path)]) == 0
    for name in FIGURES:
        with Image.open(tmp_path / f"{name}.png") as figure:
            assert figure.width > 300, name


def test_missing_models_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--models", str(tmp_path), "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err.strip()
    assert "is missing or damaged" in said
    assert "\n" not in said


def test_the_page_shows_every_figure_and_the_file_that_draws_it() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\(how-it-works/(\w+)\.png\)", page)) == set(FIGURES)
    assert set(re.findall(r"training/lecture/(\w+)\.py\)", page)) >= set(FIGURES)


def test_the_page_says_of_the_kl_pair_what_was_measured() -> None:
    said = re.search(r"deviation of ([\d.]+)\s+instead of ([\d.]+)", PAGE.read_text("utf-8"))
    assert said is not None
    notes = [read_note(PARTS / name) for name in ("vae_without_kl", "vae_with_kl")]
    assert [f"{note.measured['latent_std']:.1f}" for note in notes] == [*said.groups()]


def test_every_link_of_the_page_leads_somewhere() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", page):
        assert (PAGE.parent / target).exists(), target


def test_a_linear_autoencoder_finds_the_subspace_of_pca() -> None:
    generator = torch.Generator().manual_seed(0)
    scales = 2.0 ** -torch.arange(12)
    pictures = torch.randn(200, 12, generator=generator) * scales
    axes = principal_axes(pictures, 4), linear_autoencoder(pictures, 4)
    cosines = torch.linalg.svdvals(axes[0].T @ axes[1])
    assert cosines.min() > 0.99
