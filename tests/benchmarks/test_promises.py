"""How far promises are off."""

import pytest
from promises import errors


def test_what_is_off_is_a_share_of_what_it_took() -> None:
    told = errors([(2.0, 1.0), (1.0, 2.0), (3.0, 4.0)])
    assert told["count"] == 3
    assert told["median_error"] == pytest.approx(0.5)
    assert told["p90_error"] == pytest.approx(0.9)
    assert told["median_bias"] == pytest.approx(-0.25)


def test_of_nothing_nothing_is_known() -> None:
    assert errors([]) == {
        "count": 0, "median_error": None, "p90_error": None, "median_bias": None
    }  # fmt: skip
