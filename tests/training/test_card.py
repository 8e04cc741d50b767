"""What the card says of the stages."""

import json
import shutil
from pathlib import Path

import pytest

from training import card as module
from training.card import STAGES, card, main, stage_table
from training.errors import TrainingError
from training.evaluation import load
from training.parts import read_note

REPOSITORY = Path(__file__).parents[2]
MODELS = REPOSITORY / "models"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The notes of all stages, as of before memory was kept, and nothing else."""
    for folder in STAGES.values():
        to = tmp_path / folder / "stage.json"
        to.parent.mkdir(parents=True)
        note = json.loads((MODELS / folder / "stage.json").read_text(encoding="utf-8"))
        without = {name: value for name, value in note.items() if not name.startswith("peak_")}
        to.write_text(json.dumps(without), encoding="utf-8")
    return tmp_path


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the benchmark's result is looked for; nothing is there."""
    monkeypatch.setattr(module, "ALONE", tmp_path / "alone.json")
    return module.ALONE


def row(models: Path, stage: str) -> list[str]:
    lines = (line for line in stage_table(models).splitlines() if line.startswith(f"| {stage} |"))
    return [cell.strip() for cell in next(lines).strip("|").split("|")][2:]


def change(models: Path, stage: str, **values: object) -> None:
    path = models / STAGES[stage] / "stage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values), encoding="utf-8")


def timings(models: Path, stages: list[str]) -> str:
    """Of so many stages, each at half a step a second with 2 GB."""
    marks = [read_note(models / STAGES[name]).fingerprint for name in stages]
    timed = {"steps_per_s": 0.5, "peak_gb": 2.0}
    return json.dumps({"stages": {mark: timed | {"fingerprint": mark} for mark in marks}})


def test_what_was_not_measured_is_a_dash(models: Path, alone: Path) -> None:
    change(models, "unet", steps=1800, seconds=7200)
    assert row(models, "unet") == ["1800", "2.0", "\u2013", "\u2013"]
    assert row(models, "all")[2] == "\u2013"


def test_hours_alone_and_memory_come_from_the_benchmark(models: Path, alone: Path) -> None:
    change(models, "unet", steps=1800, seconds=7200)
    alone.write_text(timings(models, ["unet"]), encoding="utf-8")
    assert row(models, "unet") == ["1800", "2.0", "1.0", "2.0"]
    assert row(models, "all")[2] == "\u2013"  # a sum of some would look like that of all
    alone.write_text(timings(models, [*STAGES][1:]), encoding="utf-8")
    assert float(row(models, "all")[2]) > 1.0


def test_a_stage_of_another_recipe_was_not_what_the_benchmark_timed(
    models: Path, alone: Path
) -> None:
    alone.write_text(timings(models, ["unet"]), encoding="utf-8")
    change(models, "unet", fingerprint="another")
    assert row(models, "unet")[2:] == ["\u2013", "\u2013"]


def test_a_stage_s_own_peak_counts_before_the_benchmark_s(models: Path, alone: Path) -> None:
    alone.write_text(timings(models, ["unet"]), encoding="utf-8")
    change(models, "unet", peak_memory_bytes=3_100_000_000)
    assert row(models, "unet")[3] == "3.1"


def test_a_damaged_benchmark_is_one_sentence(models: Path, alone: Path) -> None:
    alone.write_text("{}", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"alone\.json is damaged: bring it back"):
        stage_table(models)


def test_the_kl_pair_s_numbers_are_those_of_their_notes(models: Path, alone: Path) -> None:
    change(models, "vae_with_kl", measured={"psnr_db": 12.34, "latent_std": 0.567}, steps=77)
    change(models, "vae_without_kl", measured={"psnr_db": 9.87, "latent_std": 6.543}, steps=77)
    text = card(load(MODELS / "starter"), models)
    assert "for 77 steps" in text
    assert "12.3 dB on held-out things, latents of standard deviation 0.57 before" in text
    assert "without (9.9 dB, 6.54)" in text


def test_the_card_is_written_anew_by_a_command(models: Path, alone: Path) -> None:
    starter = models / "starter"
    assert main(["--models", str(models)]) == 1  # there is no evaluation
    shutil.copytree(MODELS / "starter", starter, ignore=shutil.ignore_patterns("MODEL_CARD.md"))
    assert main(["--models", str(models)]) == 0
    assert (starter / "MODEL_CARD.md").read_text() == card(load(starter), models)
