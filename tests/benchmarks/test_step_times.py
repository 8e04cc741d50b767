"""The table of a simulated device."""

import pytest
from simulated.step_times import FAMILY, FIRST, TABLE, StepTimes

from tests.service import ROOT


def test_the_table_is_what_was_measured_and_between_it_a_straight_line() -> None:
    times = StepTimes(64, {1: 0.010, 4: 0.016, 8: 0.030}, {1: 0.02})
    assert times.step_s(4) == 0.016
    assert times.step_s(2) == pytest.approx(0.012)
    assert times.step_s(16) == pytest.approx(0.060)
    assert times.decode_s(3) == pytest.approx(0.06)


def test_each_run_that_measured_the_calls_is_a_table() -> None:
    runs = StepTimes.runs(ROOT / TABLE, FAMILY)
    assert list(runs) == [FIRST, "second run"]
    assert runs[FIRST] == StepTimes.read(ROOT / TABLE, FAMILY)
    assert runs["second run"].step_s(32) == pytest.approx(0.09928)
    assert runs["second run"].decoder_s == runs[FIRST].decoder_s


def test_an_h100_of_the_report_makes_four_to_five_pictures_a_second() -> None:
    one = StepTimes.read(ROOT / TABLE, FAMILY)
    assert 4 < one.pictures_per_s(16, 30) < 5
    slow = StepTimes.read(ROOT / TABLE, FAMILY, slow_down=8.0)
    assert slow.pictures_per_s(16, 30) == pytest.approx(one.pictures_per_s(16, 30) / 8)
