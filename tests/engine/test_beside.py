"""Who will be gone before there is room rides beside the row budget; all others wait for it."""

from tests.engine.company import Arrival, assert_exact, develop_together
from tests.engine.conftest import References
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.memory_plan import MemoryPlan, Need, Needs

BUDGET = 8  # rows, as the engine's
FULL = BUDGET // 2  # guided pictures


def full(engine: Engine, steps: int = 12) -> None:
    for n in range(FULL):
        engine.add(Wish(steps=steps, seed=n).picture(engine.model, f"long-{n}"))
    engine.step()


def add(engine: Engine, key: str, steps: int) -> None:
    engine.add(Wish(steps=steps).picture(engine.model, key))


def test_a_short_picture_does_not_wait_for_long_ones(engine: Engine) -> None:
    full(engine)
    add(engine, "short", steps=2)
    assert engine.step().rows == BUDGET + 2
    assert [made.key for made in engine.step().developed] == ["short"]


def test_one_that_would_outlast_them_waits_and_is_passed_by_a_shorter_one(engine: Engine) -> None:
    full(engine)
    add(engine, "long", steps=12)
    add(engine, "short", steps=11)
    engine.step()
    assert engine.progress()["short"] == 1 / 11
    assert "long" not in engine.progress()


def test_there_is_room_for_half_as_many_rows_beside_the_budget(engine: Engine) -> None:
    full(engine)
    for n in range(FULL):
        add(engine, f"short-{n}", steps=3)
    assert engine.step().rows == BUDGET * 3 // 2


def test_those_beside_take_no_room_from_those_who_wait(engine: Engine) -> None:
    full(engine, steps=4)
    add(engine, "next", steps=12)
    ended: list[object] = []
    for n in range(6):
        add(engine, f"short-{n}", steps=2)
        ended += [made.key for made in engine.step().developed]
    assert engine.progress()["next"] >= 2 / 12
    assert {"long-0", "long-1", "long-2", "long-3"} <= set(ended)


def test_where_memory_has_no_room_nobody_rides_beside(engine: Engine) -> None:
    height, width = engine.model.native_shape
    needs = Needs(0, Need(0, 1.0), Need(0, 0.0), 0.0, 0.0)
    plan = MemoryPlan(needs, BUDGET * height * width, decoding=0, calls=1, side=height)
    engine.budget = RowBudget(BUDGET, engine.model.native_shape, plan)
    assert engine.budget.margin(engine.model.native_shape) == 0
    full(engine)
    add(engine, "short", steps=1)
    assert engine.step().rows == BUDGET


def test_pictures_beside_each_other_are_exact(engine: Engine, references: References) -> None:
    wishes = [Wish("dpmpp_2m_karras", 12, seed=n) for n in range(FULL)]
    wishes += [Wish("euler_a", 3, seed=9), Wish("lms", 4, seed=10, guidance=1.0)]
    arrivals = [Arrival(wish, at=0 if n < FULL else 2) for n, wish in enumerate(wishes)]
    outcome = develop_together(engine, arrivals)
    assert max(outcome.rows) > BUDGET
    for n, wish in enumerate(wishes):
        assert_exact(outcome.finished[n], references(engine.model, wish))
