from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.likeness import psnr
from tests.engine.company import Arrival, develop_together
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.fitted_decoder import fit_decoder
from worker.engine.live_bytes import live_peak
from worker.engine.memory import calls_of, fit, measure_needs, weight_bytes, without_weights
from worker.engine.memory_plan import (
    FILLS,
    MemoryPlan,
    Need,
    Needs,
    bytes_of_one,
    plan_memory,
)
from worker.engine.model import Model

NATIVE, LARGE = (8, 8), (16, 16)
"""Of the tiny model, in cells."""


@pytest.fixture(scope="module")
def needs(tiny: Model) -> Needs:
    return measure_needs(tiny, LARGE, remembered=4)


def test_what_is_counted_without_weights_is_what_the_tensors_really_take(model: Model) -> None:
    calls = calls_of(model)
    bare = without_weights(model, calls)
    native = model.native_shape
    large = (2 * native[0], 2 * native[1])
    for rows, shape in ((2, native), (4, native), (2, large)):
        assert live_peak(bare.unet_on(rows, shape)) == live_peak(calls.unet_on(rows, shape))
    for shape in (native, large):
        assert live_peak(bare.decoder_on(shape)) == live_peak(calls.decoder_on(shape))


def test_a_call_takes_memory_by_its_cells_whatever_their_shape(model: Model) -> None:
    """Attention, which makes no matrix of scores, included."""
    calls = without_weights(model, calls_of(model))
    height, width = model.native_shape
    taken = [
        live_peak(calls.unet_on(rows, (grown * height, grown * width))) / (rows * grown**2)
        for rows, grown in ((2, 1), (4, 1), (32, 1), (2, 2), (2, 4))
    ]
    assert max(taken) / min(taken) < 1.02
    taken = [
        live_peak(calls.decoder_on((grown * height, grown * width))) / grown**2
        for grown in (1, 2, 4)
    ]
    assert max(taken) / min(taken) < 1.02


def test_weights_and_remembered_prompts_are_fixed(tiny: Model, needs: Needs) -> None:
    weights = sum(weight_bytes(part) for part in (tiny.text_encoder, tiny.unet, tiny.vae))
    assert needs.fixed == weights + 4 * 77 * 32 * 4


def test_no_measurement_is_above_the_fitted_line() -> None:
    points = [(2, 30), (4, 50), (8, 110)]
    line = fit(points)
    assert line == Need(fixed=0.0, per_cell=15.0)
    assert all(line.bytes(cells) >= taken for cells, taken in points)
    assert fit([(2, 130), (4, 150), (8, 190)]) == Need(fixed=110.0, per_cell=10.0)
    assert fit([(64, 640)]) == Need(fixed=0.0, per_cell=10.0)
    assert fit([(2, 20), (4, 40), (2, 20)]).per_cell == 10.0


def test_an_engine_at_work_stays_within_what_was_planned(tiny: Model, needs: Needs) -> None:
    plan = plan_memory(needs, 10 * needs.fixed, NATIVE, side=16)
    budget = RowBudget(8, NATIVE, plan)
    engine = Engine(tiny, budget, prompt_cache=4)
    wishes = [Wish(seed=n, steps=4) for n in range(5)]
    wishes += [Wish(seed=n, steps=4, width=128, height=128) for n in range(2)]
    peak = live_peak(lambda: develop_together(engine, [Arrival(wish) for wish in wishes]))
    rows = budget.rows(NATIVE)
    call = max(needs.unet.bytes(rows * 64), needs.unet.bytes(budget.rows(LARGE) * 256))
    kept = FILLS * max(rows * needs.kept(64), budget.rows(LARGE) * needs.kept(256))
    assert peak <= call + kept + plan.decoding


def test_where_memory_is_short_large_pictures_are_tiled_and_their_neighbours_are_what_they_were(
    tiny: Model, needs: Needs
) -> None:
    small, large = Wish(seed=1, steps=3), Wish(seed=2, steps=3, width=128, height=128)
    room = needs.unet.bytes(2 * 256) + FILLS * 2 * needs.kept(256) + needs.decoder.bytes(64)
    plan = plan_memory(needs, int(needs.fixed + room) + 1, NATIVE, side=16)
    assert (plan.pictures(NATIVE), plan.pictures(LARGE)) == (1, 0)
    ample = develop_together(
        Engine(tiny, RowBudget(8, NATIVE)), [Arrival(small), Arrival(large), Arrival(small)]
    )
    short = Engine(
        replace(tiny, vae_call=fit_decoder(tiny, plan)), RowBudget(8, NATIVE, plan), prompt_cache=4
    )
    assert short.budget.is_tiled(LARGE)
    assert not short.budget.is_tiled(NATIVE)
    found = develop_together(short, [Arrival(small), Arrival(large), Arrival(small)])
    for n in (0, 2):
        assert psnr(found.finished[n].pixels, ample.finished[n].pixels) > 60
    assert found.finished[1].pixels.shape == (128, 128, 3)
    assert 20 < psnr(found.finished[1].pixels, ample.finished[1].pixels) < 100


def test_less_memory_never_brings_more(needs: Needs) -> None:
    least = bytes_of_one(needs, NATIVE)
    limits = [int(least * (1 + n / 4)) + 1 for n in range(8)]
    plans: list[MemoryPlan] = [plan_memory(needs, limit, NATIVE, side=16) for limit in limits]
    for less, more in pairwise(plans):
        assert less.side <= more.side
        assert less.rows(NATIVE) >= 2
