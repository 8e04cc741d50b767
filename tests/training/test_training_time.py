"""The benchmark of the training, on the tiny recipe."""

import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from training.errors import TrainingError
from training.recipes import TINY
from training.workshop import Workshop

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training_time.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location("training_time", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "training_time", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def source(trained: Path) -> Workshop:
    return Workshop(TINY, 0, trained / "work", trained / "models", torch.device("cpu"))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["vae_without_kl", "judge", "unet", "refined"])
def test_a_stage_is_timed_on_copies_and_nothing_else_changes(
    benchmark: ModuleType, source: Workshop, tmp_path: Path, name: str
) -> None:
    before = contents(source.work.parent)
    work, models = tmp_path / "work", tmp_path / "models"
    benchmark._copy_work(source.work, work)
    benchmark._copy_models(source.models, models, without=name)
    timed = benchmark.measure(name, replace(source, work=work, models=models), 0.0)
    assert timed.steps == 4
    assert timed.hours == pytest.approx(4 / timed.steps_per_s / 3600)
    assert 1 / timed.steps_per_s > timed.step_s > 0
    assert timed.look_s > 0
    assert timed.peak_gb > 0.01
    assert contents(source.work.parent) == before


def test_missing_pictures_say_which_stage_makes_them(
    benchmark: ModuleType, source: Workshop, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="python -m training data"):
        benchmark.measure_all(replace(source, work=tmp_path), 0.0)
