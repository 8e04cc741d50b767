"""The rule by which benchmarks take percentiles."""

import random

import numpy as np
import pytest
from percentiles import rank, spread


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
def test_percentiles_are_numpys(count: int) -> None:
    values = [random.Random(count).expovariate(1) for _ in range(count)]
    for percent in (0, 12.5, 50, 95, 99.9, 100):
        assert rank(values, percent) == pytest.approx(np.percentile(values, percent))


def test_of_nothing_there_are_none() -> None:
    assert rank([], 50) is None
    assert spread([]) == {
        "count": 0, "mean": None, "p50": None, "p90": None, "p95": None, "p99": None,
        "p99.9": None, "max": None,
    }  # fmt: skip
