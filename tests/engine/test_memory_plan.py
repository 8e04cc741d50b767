import pytest

from worker.engine.budget import RowBudget
from worker.engine.memory_plan import FILLS, MemoryPlan, Need, Needs, bytes_of_one, plan_memory

NATIVE, LARGE = (8, 8), (16, 16)
NEEDS = Needs(
    fixed=1000, unet=Need(0, 10), decoder=Need(0, 30), kept_per_cell=0.5, kept_per_row=2.0
)
ONE_LARGE = 2 * (10 * 256 + FILLS * (0.5 * 256 + 2))
"""What a guided picture takes that is twice as wide and high, while it is denoised."""


def planned(limit: float, calls: int = 1) -> MemoryPlan:
    return plan_memory(NEEDS, int(limit), NATIVE, side=16, calls=calls)


def test_the_largest_picture_is_decoded_as_a_whole_where_there_is_room() -> None:
    plan = planned(1000 + ONE_LARGE + 30 * 256)
    assert plan.side == 16
    assert plan.rows(LARGE) == 2
    assert (plan.pictures(LARGE), plan.pictures(NATIVE)) == (1, 4)


def test_it_is_tiled_where_nothing_else_fits() -> None:
    plan = planned(1000 + ONE_LARGE + 30 * 256 - 1)
    assert plan.side == 16
    assert plan.rows(LARGE) >= 2
    assert (plan.pictures(LARGE), plan.pictures(NATIVE)) == (0, 1)


def test_it_is_not_offered_where_not_one_fits() -> None:
    plan = planned(1000 + ONE_LARGE + 30 * 64 - 1)
    assert 8 <= plan.side < 16
    assert plan.rows((plan.side, plan.side)) >= 2
    assert plan.rows(LARGE) < 2


def test_a_model_without_room_for_one_picture_says_what_it_takes() -> None:
    least = bytes_of_one(NEEDS, NATIVE)
    assert planned(least).side == 8
    with pytest.raises(ValueError, match=r"^0 MB$"):
        planned(least - 1)


def test_calls_whose_memory_is_held_twice_leave_room_for_fewer_rows() -> None:
    assert planned(100_000, calls=2).rows(NATIVE) < planned(100_000).rows(NATIVE)


def test_a_budget_is_what_pays_or_what_fits_whichever_is_less() -> None:
    plan = planned(1000 + ONE_LARGE + 30 * 256)
    assert RowBudget(4, NATIVE, plan).rows(NATIVE) == 4
    assert RowBudget(64, NATIVE, plan).rows(NATIVE) == plan.rows(NATIVE) == 7
    assert RowBudget(64, NATIVE, plan).rows(LARGE) == 2
    assert not RowBudget(64, NATIVE).is_tiled(LARGE)
