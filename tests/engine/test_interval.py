"""Guidance at some of the steps only, against diffusers' own pipeline and its own callback."""

from dataclasses import replace

import numpy as np
import pytest
from diffusers.guiders import ClassifierFreeGuidance

from contract.rows import guided_steps
from contract.samplers import SAMPLERS
from tests.engine.company import Arrival, assert_exact, develop_together
from tests.engine.conftest import References
from tests.engine.test_checkpoint import engine_of, finish, interrupted
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model

INTERVALS = ((0.0, 0.6), (0.2, 1.0), (0.2, 0.8), (0.5, 0.6), (0.0, 0.1))
MIX = {
    sampler: Wish(
        sampler,
        steps=5 + i % 3,
        seed=i,
        prompt=f"picture {i}",
        negative_prompt=f"not {i}",
        guidance_start=INTERVALS[i % 5][0],
        guidance_stop=INTERVALS[i % 5][1],
    )
    for i, sampler in enumerate(SAMPLERS)
}
CUT = Wish("euler", 10, guidance_stop=0.6)


@pytest.mark.parametrize("steps", [1, 7, 30, 100])
@pytest.mark.parametrize(("start", "stop"), [*INTERVALS, (0.0, 1.0), (0.29, 0.58), (0.99, 1.0)])
def test_steps_are_guided_as_by_diffusers_own_guider(start: float, stop: float, steps: int) -> None:
    guider = ClassifierFreeGuidance(start=start, stop=stop)
    guided = []
    for step in range(steps):
        guider.set_state(step, steps, None)
        if guider.num_conditions == 2:
            guided.append(step)
    assert guided == list(guided_steps(7.5, start, stop, steps))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_is_exact(tiny: Model, sampler: str, references: References) -> None:
    outcome = develop_together(engine_of(tiny), [Arrival(MIX[sampler])])
    assert_exact(outcome.finished[0], references(tiny, MIX[sampler]))


@pytest.mark.parametrize(("start", "stop"), INTERVALS[:3])
def test_the_starter_is_exact(
    starter: Model, start: float, stop: float, references: References
) -> None:
    wish = Wish("dpmpp_2m_karras", 10, guidance_start=start, guidance_stop=stop)
    outcome = develop_together(engine_of(starter), [Arrival(wish)])
    assert_exact(outcome.finished[0], references(starter, wish))


def test_a_step_of_two_evaluations_is_guided_in_both_or_neither(tiny: Model) -> None:
    for sampler in ("heun", "kdpm2"):
        picture = replace(CUT, sampler=sampler).picture(tiny, "")
        assert (picture.guided_from, picture.guided_until) == (0, 12)


def test_pictures_whose_guidance_begins_and_ends_leave_their_company_exact(
    tiny: Model, references: References
) -> None:
    wishes = [*MIX.values(), Wish("lms", 9, seed=50), Wish("unipc", 9, guidance=1.0, seed=51)]
    arrivals = [Arrival(wish, at=i // 2) for i, wish in enumerate(wishes)]
    outcome = develop_together(Engine(tiny, RowBudget(12, tiny.native_shape)), arrivals)
    assert outcome.spoiled == {}
    assert max(outcome.rows) <= 12
    for i, wish in enumerate(wishes):
        assert_exact(outcome.finished[i], references(tiny, wish))


@pytest.mark.parametrize(
    ("start", "stop", "rows"),
    [
        (0.0, 0.6, [2] * 6 + [1] * 4),
        (0.2, 1.0, [1] * 2 + [2] * 8),
        (0.2, 0.6, [1] * 2 + [2] * 4 + [1] * 4),
        (0.5, 0.55, [1] * 10),
    ],
)
def test_a_step_without_guidance_is_one_row(
    engine: Engine, start: float, stop: float, rows: list[int]
) -> None:
    wish = Wish("euler", 10, guidance_start=start, guidance_stop=stop)
    assert develop_together(engine, [Arrival(wish)]).rows == rows


def test_rows_that_are_free_for_good_are_given_to_others(tiny: Model) -> None:
    """Those that a picture will want again are not."""
    engine = Engine(tiny, RowBudget(4, tiny.native_shape))
    late = Wish("euler", 10, guidance_start=0.2)
    rows = develop_together(engine, [Arrival(wish) for wish in (CUT, late, CUT, CUT)]).rows
    assert max(rows) == 4
    assert rows[:6] == [3] * 2 + [4] * 4  # the first two
    # The first ends its guidance: one row is free, and a guided picture needs two.
    assert rows[6:10] == [3] * 4
    assert rows[10:16] == [4] * 6  # the others
    assert rows[16:] == [2] * 4


def test_a_picture_beyond_its_guidance_makes_room(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(2, tiny.native_shape))
    plain = Wish("euler", 12, guidance=1.0)
    assert develop_together(engine, [Arrival(CUT), Arrival(plain)]).rows == (
        [2] * 6 + [2] * 4 + [1] * 8
    )


def test_who_is_urgent_takes_rows_that_are_free_before_others_make_way(tiny: Model) -> None:
    engine = Engine(tiny, RowBudget(4, tiny.native_shape))
    urgent = Wish("euler", 3, is_urgent=True)
    arrivals = [Arrival(CUT), Arrival(CUT), Arrival(urgent, at=7)]
    assert develop_together(engine, arrivals).rows == [4] * 6 + [2] + [4] * 3


def test_what_is_ahead_is_known_by_the_rows_of_steps_to_come(engine: Engine) -> None:
    engine.add(CUT.picture(engine.model, "cut"))
    engine.add(replace(CUT, guidance_start=0.2, guidance_stop=1.0).picture(engine.model, "late"))
    engine.step()
    assert engine.rows_ahead() == {"cut": 2, "late": 2}
    assert (engine.width, engine.load) == (3, 4)
    for _ in range(5):
        engine.step()
    assert engine.rows_ahead() == {"cut": 1, "late": 2}
    assert (engine.width, engine.load) == (3, 3)


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m_sde", "pndm"])
def test_a_picture_resumed_within_or_after_its_interval_is_the_same(
    tiny: Model, sampler: str
) -> None:
    wish = replace(CUT, sampler=sampler, seed=3, guidance_start=0.2)
    whole = wish.picture(tiny, "picture")
    alone = engine_of(tiny)
    alone.add(whole)
    expected = finish(alone)["picture"]
    for after in (1, whole.guided_from + 1, whole.guided_until, whole.guided_until + 1):
        second = engine_of(tiny)
        second.add(interrupted(engine_of(tiny), whole, after))
        assert np.array_equal(finish(second)["picture"], expected)


def test_a_resumed_picture_has_had_what_it_brought(tiny: Model) -> None:
    engine = engine_of(tiny)
    engine.add(interrupted(engine_of(tiny), CUT.picture(tiny, "picture"), 8))
    report = engine.step()
    assert (report.resumed, report.rows) == (6 + 8, 1)
    [made] = engine.step().developed
    assert made.usage.row_steps == 6 + 10


def test_a_fault_is_narrowed_down_among_pictures_of_both_kinds(
    tiny: Model, references: References, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes = [
        replace(CUT, seed=seed, guidance_start=start) for seed, start in enumerate((0, 0.3, 0))
    ]
    engine, calls = engine_of(tiny), [0]
    predict = Model.predict

    def fail_at_times(model: Model, *given: object) -> object:
        calls[0] += 1
        if len(given[0]) > 2:  # type: ignore[arg-type]
            raise RuntimeError("too many")
        return predict(model, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Model, "predict", fail_at_times)
    outcome = develop_together(engine, [Arrival(wish) for wish in wishes])
    monkeypatch.undo()
    assert outcome.spoiled == {}
    assert calls[0] > 10
    for i, wish in enumerate(wishes):
        assert_exact(outcome.finished[i], references(tiny, wish))
