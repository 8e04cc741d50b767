"""The engine on a GPU: no waiting inside a step, real lack of memory, resumed pictures."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from contract.errors import OutOfMemory
from contract.samplers import SAMPLERS
from tests.engine.company import Arrival, develop_together, psnr
from tests.engine.test_batch import batch_of
from tests.engine.test_checkpoint import finish, interrupted
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.engine import Engine
from worker.engine.model import Model

SIDE = 128
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


def test_a_step_never_waits_for_the_gpu(half: Model, request: pytest.FixtureRequest) -> None:
    batch = batch_of(half, a=wish("dpmpp_2m_karras"), b=wish("euler_a"), c=wish("lms"))
    for _ in range(3):
        batch.step()
    request.getfixturevalue("no_waiting")
    assert batch.step() == {}


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
