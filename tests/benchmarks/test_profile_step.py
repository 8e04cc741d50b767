"""What the profile of a step counts."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def profile_step(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("profile_step")


def test_a_step_is_the_call_the_engine_around_it_and_the_loop_around_that(
    profile_step: ModuleType,
) -> None:
    step = profile_step.Step
    plain = [step(n, n + 0.9, 0.8, 0.9, True) for n in range(20)]
    joined = [step(20 + n, 20 + n + 0.1, 0.0, 0.0, False) for n in range(20)]
    found = profile_step.shares([*plain, *joined])
    assert found.step == pytest.approx(1000)
    assert found.unet == pytest.approx(800)
    assert found.engine == pytest.approx(100)
    assert found.loop == pytest.approx(100)
    assert found.others == pytest.approx(0.2)
