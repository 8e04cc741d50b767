from pathlib import Path

import numpy as np
import pytest

from training.memory import RESET, Peak, begin_peak, peak

MUCH = 256 * 2**20


def test_a_peak_remembers_what_was_given_back() -> None:
    begin_peak()
    before = peak().memory_bytes
    assert 2**24 < before < 2**40
    np.ones(MUCH, np.uint8)
    assert peak().memory_bytes > before + MUCH // 2


@pytest.mark.skipif(not RESET.exists(), reason="this system forgets no peak")
def test_a_new_stage_does_not_show_the_peak_of_the_one_before() -> None:
    np.ones(MUCH, np.uint8)
    before = peak().memory_bytes
    begin_peak()
    assert peak().memory_bytes < before


def test_a_system_that_forgets_no_peak_says_the_one_of_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("training.memory.RESET", tmp_path / "no" / "such")
    before = peak().memory_bytes
    begin_peak()
    assert peak().memory_bytes >= before


def test_the_most_of_two_pieces() -> None:
    assert Peak(3, 1).or_more(Peak(2, 5)) == Peak(3, 5)
