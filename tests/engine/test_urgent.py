"""An urgent picture joins at the next step; others make way, and are none the worse for it."""

from dataclasses import replace

from tests.engine.company import Arrival, assert_exact, develop_together
from tests.engine.conftest import References
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model

FULL = 4  # guided pictures in eight rows


def full(engine: Engine, steps: int = 12) -> list[str]:
    """An engine whose batch has been full for three steps."""
    keys = [f"plain-{n}" for n in range(FULL)]
    for n, key in enumerate(keys):
        engine.add(Wish(steps=steps, seed=n).picture(engine.model, key))
    for _ in range(3):
        assert engine.step().rows == 2 * FULL
    return keys


def urgent(engine: Engine, key: str, **fields: int) -> None:
    wish = Wish(is_urgent=True, steps=fields.pop("steps", 5), **fields)
    engine.add(wish.picture(engine.model, key))


def test_it_joins_a_full_batch_at_the_next_step_and_the_last_that_came_makes_way(
    engine: Engine,
) -> None:
    *stay, gives = full(engine)
    urgent(engine, "urgent")
    report = engine.step()
    assert (report.joined, report.rows) == (1, 2 * FULL)
    progress = engine.progress()
    assert progress["urgent"] == 1 / 5
    assert [progress[key] for key in stay] == [4 / 12] * 3
    assert progress[gives] == 3 / 12
    for _ in range(4):
        report = engine.step()
    assert [made.key for made in report.developed] == ["urgent"]
    assert engine.step().joined == 1
    assert engine.progress()[gives] == 4 / 12


def test_all_pictures_are_as_if_nobody_had_been_in_a_hurry(
    engine: Engine, references: References
) -> None:
    wishes = [Wish("dpmpp_2m_sde", 6, seed=n, guidance=(7.5, 1.0)[n % 2]) for n in range(5)]
    hasty = [Wish("euler_a", 3, seed=n, is_urgent=True) for n in range(6)]
    arrivals = [Arrival(wish) for wish in wishes]
    arrivals += [Arrival(wish, at=2 + n % 2) for n, wish in enumerate(hasty)]
    outcome = develop_together(engine, arrivals)
    assert max(outcome.rows) <= 8
    for n, wish in enumerate((*wishes, *hasty)):
        plain = replace(wish, is_urgent=False)
        assert_exact(outcome.finished[n], references(engine.model, plain))


def test_those_that_make_way_keep_their_progress_and_their_checkpoints(engine: Engine) -> None:
    keys = full(engine)
    for n in range(FULL):
        urgent(engine, f"urgent-{n}")
    engine.step()
    progress, checkpoints = engine.progress(), engine.checkpoints()
    assert {progress[key] for key in keys} == {3 / 12}
    assert {checkpoints[key].step for key in keys} == {3}
    assert engine.load == 4 * FULL
    assert not engine.is_idle


def test_one_that_paused_goes_on_elsewhere_from_its_checkpoint(
    engine: Engine, references: References
) -> None:
    full(engine)
    for n in range(FULL):
        urgent(engine, f"urgent-{n}")
    engine.step()
    start = engine.checkpoints()["plain-2"]
    wish = Wish(steps=12, seed=2)
    other = Engine(engine.model, engine.budget)
    other.add(replace(wish.picture(engine.model, "again"), start=start))
    made = [made for _ in range(9) for made in other.step().developed]
    expected = references(engine.model, wish).pixels[0].astype(int)
    assert abs(made[0].pixels.astype(int) - expected).max() <= 1


def test_urgent_ones_do_not_make_way_for_each_other(engine: Engine) -> None:
    for n in range(FULL + 1):
        urgent(engine, f"urgent-{n}")
    engine.step()
    assert list(engine.progress()) == [f"urgent-{n}" for n in range(FULL)]


def test_those_that_paused_come_before_those_that_wait(engine: Engine) -> None:
    full(engine, steps=6)
    urgent(engine, "urgent", steps=2)
    engine.add(Wish(steps=20).picture(engine.model, "late"))
    ended: list[object] = []
    while not engine.is_idle:
        ended += [made.key for made in engine.step().developed]
    assert ended[0] == "urgent"
    assert set(ended[1:4]) == {"plain-0", "plain-1", "plain-2"}
    assert ended.index("late") > 3


def test_a_picture_that_paused_can_be_dropped(engine: Engine) -> None:
    keys = full(engine)
    urgent(engine, "urgent")
    engine.step()
    engine.remove(keys)
    while not engine.is_idle:
        assert all(made.key == "urgent" for made in engine.step().developed)


def test_an_urgent_size_has_the_next_step_whoever_else_waits_for_a_turn(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(native_rows=8, native_shape=tiny.native_shape))
    for n, width in enumerate((64, 96, 32)):
        engine.add(Wish(steps=9, width=width).picture(tiny, n))
    engine.step()
    urgent(engine, "urgent", width=128)
    engine.step()
    assert engine.progress()["urgent"] == 1 / 5
