import pytest

from darkroom.doctor.device_check import check_device
from darkroom.doctor.finding import Finding, Level
from worker.settings import WorkerSettings


def found(level: Level, **settings: object) -> list[Finding]:
    asked = WorkerSettings.model_validate({"device": "cpu", "threads": 1, **settings})
    return [each for each in check_device(asked, is_needed=True) if each.level is level]


def test_a_worker_that_starts_has_no_faults() -> None:
    assert not found(Level.FAIL, fixed_rows=4, memory_mb=500)


def test_settings_that_contradict_each_other_are_told_with_what_would_do() -> None:
    (wasted,) = found(Level.FAIL, fixed_rows=9, max_rows=8)
    assert wasted.what.startswith("DARKROOM_FIXED_ROWS is 9, more than the 8")
    assert wasted.remedy == "Set it to 8 or less."


def test_a_model_is_not_compiled_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    (missing,) = found(Level.FAIL, compile=True)
    assert "no C++ compiler" in missing.what


def test_more_memory_than_is_free_is_a_warning() -> None:
    (much,) = found(Level.WARN, memory_mb=10**9)
    assert much.what.startswith("DARKROOM_MEMORY_MB is 1000000000, and ")
