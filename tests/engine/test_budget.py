from collections.abc import Iterator

import pytest
import torch
from torch import nn

from worker.engine import unet_timing
from worker.engine.budget import RowBudget
from worker.engine.model import Model
from worker.engine.unet_timing import measure_budget, unet_seconds, whole_calls

BUDGET = RowBudget(native_rows=8, native_shape=(8, 8))


def test_larger_pictures_get_fewer_rows_and_smaller_ones_more() -> None:
    assert BUDGET.rows((8, 8)) == 8
    assert BUDGET.rows((8, 16)) == 4
    assert BUDGET.rows((4, 8)) == 16


def test_any_one_guided_picture_fits() -> None:
    assert BUDGET.rows((80, 80)) == 2
    assert RowBudget(native_rows=1, native_shape=(8, 8)).rows((8, 8)) == 2


def test_a_row_weighs_what_its_area_is() -> None:
    assert BUDGET.cost((8, 8)) == 1.0
    assert BUDGET.cost((12, 8)) == 1.5


def test_measuring_finds_a_budget_and_tells_the_seconds_by_rows(tiny: Model) -> None:
    found, seconds = measure_budget(tiny)
    assert found.native_shape == tiny.native_shape
    assert found.native_rows in unet_timing.CANDIDATES
    assert list(seconds) == list(unet_timing.CANDIDATES[: len(seconds)])
    assert all(value > 0 for value in seconds.values())


class Clock:
    """A perf_counter by which a U-Net call of n rows takes `seconds[n]`."""

    def __init__(self, seconds: dict[int, float]):
        self.now = 0.0
        self.seconds = seconds

    def perf_counter(self) -> float:
        return self.now

    def __call__(self, unet: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self.now += self.seconds[len(args[0])]


@pytest.fixture
def clock(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock({})
    monkeypatch.setattr(unet_timing.time, "perf_counter", clock.perf_counter)
    handle = tiny.unet.register_forward_pre_hook(clock)
    yield clock
    handle.remove()


def test_the_budget_ends_where_more_rows_hardly_pay(tiny: Model, clock: Clock) -> None:
    clock.seconds = {2: 0.010, 4: 0.012, 8: 0.020, 16: 0.030, 32: 0.058, 64: 0.116}
    found, seconds = measure_budget(tiny)
    assert found.native_rows == 16
    assert seconds == pytest.approx(clock.seconds)


def test_there_is_room_for_company_even_where_it_does_not_pay(tiny: Model, clock: Clock) -> None:
    clock.seconds = {rows: 0.001 * rows for rows in unet_timing.CANDIDATES}
    assert measure_budget(tiny)[0].native_rows == unet_timing.LEAST_ROWS


def test_measuring_ends_when_it_has_taken_long_enough(tiny: Model, clock: Clock) -> None:
    clock.seconds = {2: 0.2, 4: 0.25, 8: 0.3, 16: 0.4}
    found, seconds = measure_budget(tiny)
    assert list(seconds) == [2, 4]
    assert found.native_rows == unet_timing.LEAST_ROWS


@pytest.mark.parametrize(("fits", "expected"), [(4, 4), (1, 2)])
def test_the_budget_stays_below_the_rows_that_do_not_fit_into_memory(
    tiny: Model, clock: Clock, fits: int, expected: int
) -> None:
    clock.seconds = dict.fromkeys(unet_timing.CANDIDATES, 0.01)

    def full(unet: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        if len(args[0]) > fits:
            raise torch.OutOfMemoryError("out of memory")

    handle = tiny.unet.register_forward_pre_hook(full)
    try:
        found, seconds = measure_budget(tiny)
    finally:
        handle.remove()
    assert all(rows <= fits for rows in seconds)
    assert found.native_rows == expected


def test_a_call_is_timed_at_its_fastest(tiny: Model, clock: Clock) -> None:
    clock.seconds = {4: 0.5}
    assert unet_seconds(tiny, 4, tiny.native_shape) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("fixed", "most", "budget"), [(1, 64, 8), (3, 64, 9), (12, 64, 12), (3, 8, 6), (2, 3, 2)]
)
def test_where_calls_have_fixed_rows_they_are_used_as_a_whole(
    fixed: int, most: int, budget: int
) -> None:
    assert whole_calls(fixed, most) == budget
