"""The table of a simulated device."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def step_times(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location("step_times", ROOT / "benchmarks" / "step_times.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(ROOT)
    return module


def test_the_table_is_what_was_measured_and_between_it_a_straight_line(
    step_times: ModuleType,
) -> None:
    times = step_times.StepTimes(64, {1: 0.010, 4: 0.016, 8: 0.030}, {1: 0.02})
    assert times.step_s(4) == 0.016
    assert times.step_s(2) == pytest.approx(0.012)
    assert times.step_s(16) == pytest.approx(0.060)
    assert times.decode_s(3) == pytest.approx(0.06)


def test_an_h100_of_the_report_makes_four_to_five_pictures_a_second(
    step_times: ModuleType,
) -> None:
    one = step_times.StepTimes.read(step_times.TABLE, step_times.FAMILY)
    assert 4 < one.pictures_per_s(16, 30) < 5
    slow = step_times.StepTimes.read(step_times.TABLE, step_times.FAMILY, slow_down=8.0)
    assert slow.pictures_per_s(16, 30) == pytest.approx(one.pictures_per_s(16, 30) / 8)
