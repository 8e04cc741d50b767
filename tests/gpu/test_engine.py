"""The engine on a GPU: no waiting inside a step, real lack of memory, resumed pictures."""

import time
from collections.abc import Hashable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.likeness import psnr
from contract.errors import OutOfMemory
from contract.samplers import SAMPLERS
from tests.engine.company import Arrival, develop_together
from tests.engine.test_checkpoint import finish, interrupted
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model
from worker.engine.picture import Developed
from worker.engine.stream import HostStream

SIDE = 128
CLOCKS_S = 0.005  # by which two clocks may have drifted apart
COMPANY_DB = 40.0  # float16 rounds otherwise in another number of rows


def wish(sampler: str = "euler", steps: int = 12, seed: int = 0, side: int = SIDE) -> Wish:
    return Wish(sampler, steps, seed=seed, prompt="red apple", width=side, height=side)


def engine_of(model: Model) -> Engine:
    return Engine(model, RowBudget(native_rows=12, native_shape=model.native_shape))


@pytest.fixture
def no_waiting() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def developed(engine: Engine, prompt: str) -> dict[Hashable, Developed]:
    """Pictures that join and leave at several times, are shown on their way and kept."""
    made: dict[Hashable, Developed] = {}
    wishes = [wish(sampler, steps=6 + n, seed=n) for n, sampler in enumerate(SAMPLERS)]
    waiting = [
        replace(each.picture(engine.model, n), previews=2, prompt=f"{prompt} {n}")
        for n, each in enumerate(wishes)
    ]
    while waiting or not engine.is_idle:
        for picture in waiting[:2]:
            engine.add(picture)
        del waiting[:2]
        for picture in engine.step().developed:
            made[picture.key] = picture
        assert engine.checkpoints().keys() >= engine.progress().keys() - made.keys()
    return made


def test_a_turn_never_waits_for_the_gpu(half: Model, request: pytest.FixtureRequest) -> None:
    """Pictures join, leave and are shown, kept and decoded; all but what only the first call of its
    shape does, which is to choose kernels and record them."""
    engine = engine_of(half)
    assert engine.previewer
    for prompt in ("apple", "rocket", "teapot", "castle"):
        expected = developed(engine, prompt)
    engine.prompts._known.clear()
    request.getfixturevalue("no_waiting")
    made = developed(engine, "castle")
    torch.cuda.set_sync_debug_mode("default")
    assert made.keys() == expected.keys()


def test_ahead_and_beside_the_steps_pictures_are_the_very_same(half: Model) -> None:
    budget = RowBudget(native_rows=12, native_shape=half.native_shape)
    ahead = developed(Engine(half, budget), "apple")
    in_order = developed(Engine(half, budget, stream=HostStream()), "apple")
    assert ahead.keys() == in_order.keys()
    for key, made in in_order.items():
        assert np.array_equal(made.pixels, ahead[key].pixels)


def test_times_of_a_gpu_are_told_by_the_hosts_clock(half: Model) -> None:
    began = time.perf_counter()
    engine = engine_of(half)
    made = developed(engine, "apple")
    ended = time.perf_counter()
    for each in made.values():
        assert began < each.admitted_at < each.joined_at <= each.denoised_at <= each.decoded_at
        assert each.decoded_at <= ended + CLOCKS_S
        assert 0 < each.usage.device_s < ended - began


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_picture_equals_one_never_interrupted(half: Model, sampler: str) -> None:
    whole = wish(sampler, steps=6).picture(half, "picture")
    alone, second = engine_of(half), engine_of(half)
    alone.add(whole)
    second.add(interrupted(engine_of(half), whole, 3))
    assert np.array_equal(finish(alone)["picture"], finish(second)["picture"])


def test_company_hardly_changes_a_picture_in_half_precision(half: Model) -> None:
    wishes = [wish(sampler, seed=n) for n, sampler in enumerate(SAMPLERS)]
    together = develop_together(
        engine_of(half), [Arrival(each, at=n) for n, each in enumerate(wishes)]
    )
    for n, each in enumerate(wishes):
        alone = develop_together(engine_of(half), [Arrival(each)])
        assert psnr(together.finished[n].pixels, alone.finished[0].pixels) >= COMPANY_DB


def test_who_does_not_fit_into_memory_fails_alone(half: Model) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 512 * 1024**2
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        outcome = develop_together(
            engine_of(half),
            [
                Arrival(wish(steps=3)),
                Arrival(wish(steps=3, side=32 * SIDE)),
                Arrival(wish(steps=8)),
            ],
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert set(outcome.finished) == {0, 2}
    assert isinstance(outcome.spoiled[1], OutOfMemory)


def test_float32_on_the_gpu_is_the_picture_of_the_cpu(half: Model) -> None:
    from tests.gpu.conftest import STARTER
    from worker.engine.model import load_model

    made = [
        develop_together(
            engine_of(load_model(STARTER, torch.device(device), torch.float32)),
            [Arrival(wish("dpmpp_2m_karras"))],
        )
        for device in ("cpu", "cuda")
    ]
    assert psnr(made[0].finished[0].pixels, made[1].finished[0].pixels) >= 60
