"""With calls of one fixed row count a picture is the same, bit for bit, whoever is beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.company import Arrival, Finished, assert_exact, develop_together
from tests.engine.conftest import CPU, STARTER, References
from tests.engine.test_exactness import MIX, PROMPTS
from tests.reference import Wish
from worker.engine.budget import RowBudget
from worker.engine.call_options import CallOptions
from worker.engine.engine import Engine
from worker.engine.model import Model, load_model
from worker.engine.picture import Developed

ROWS = 6  # where two threads' seams fall inside of rows
WISHES = (
    Wish("dpmpp_2m_karras", steps=4, seed=3, prompt=PROMPTS[1]),
    Wish("euler_a", steps=3, seed=4, guidance=1.0),
    Wish("unipc", steps=4, seed=5, width=96),
    Wish("ddim", steps=3, seed=6, width=72, height=72, negative_prompt="a grey square"),
)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Which share each product between them."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def fixed(request: pytest.FixtureRequest, checkpoint: Path) -> Model:
    dtype = getattr(torch, request.param)
    return load_model(checkpoint, CPU, dtype, CallOptions(fixed_rows=ROWS))


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def fixed_starter(request: pytest.FixtureRequest) -> Model:
    return load_model(STARTER, CPU, getattr(torch, request.param), CallOptions(fixed_rows=ROWS))


def engine_of(model: Model, native_rows: int = 12) -> Engine:
    return Engine(model, RowBudget(native_rows, model.native_shape))


def alone(model: Model, wish: Wish) -> Finished:
    return develop_together(engine_of(model), [Arrival(wish)]).finished[0]


def finished(engine: Engine) -> Iterator[Developed]:
    while not engine.is_idle:
        yield from engine.step().developed


def assert_equal(found: Finished, expected: Finished) -> None:
    assert torch.equal(found.latents, expected.latents)
    assert np.array_equal(found.pixels, expected.pixels)


def assert_as_alone(model: Model, arrivals: Sequence[Arrival], native_rows: int = 12) -> None:
    together = develop_together(engine_of(model, native_rows), arrivals)
    assert together.spoiled == {}
    for i, arrival in enumerate(arrivals):
        if arrival.gone_at is None:
            assert_equal(together.finished[i], alone(model, arrival.wish))


def test_pictures_of_mixed_company_are_those_made_alone(fixed: Model) -> None:
    """They come one after another, in another order of rows at almost each step."""
    others = [replace(MIX[name], steps=2) for name in ("lms", "pndm")]
    arrivals = [Arrival(wish, at=i) for i, wish in enumerate([*others, *WISHES])]
    leaving = Arrival(Wish(steps=9, prompt="to be cancelled"), at=2, gone_at=5)
    assert_as_alone(fixed, [*arrivals, leaving])


def test_so_are_those_of_the_starter(fixed_starter: Model) -> None:
    assert_as_alone(fixed_starter, [Arrival(WISHES[1]), Arrival(WISHES[0], at=1)])


def test_a_picture_that_paused_for_an_urgent_one_is_the_one_that_did_not(fixed: Model) -> None:
    urgent = replace(WISHES[1], is_urgent=True, steps=3)
    assert_as_alone(fixed, [*(Arrival(wish) for wish in WISHES[:2]), Arrival(urgent, at=1)], 3)


def test_a_picture_resumed_among_others_is_the_one_never_interrupted(fixed: Model) -> None:
    whole = WISHES[0].picture(fixed, 0)
    first, second = engine_of(fixed), engine_of(fixed)
    first.add(whole)
    for _ in range(2):
        first.step()
    for key, wish in enumerate(WISHES[1:], 1):
        second.add(wish.picture(fixed, key))
    second.step()
    second.add(replace(whole, start=first.checkpoints()[0]))
    made = {each.key: each.pixels for each in finished(second)}
    assert np.array_equal(made[0], alone(fixed, WISHES[0]).pixels)


def test_fixed_rows_are_exact(checkpoint: Path, tiny: Model, references: References) -> None:
    model = load_model(checkpoint, CPU, torch.float32, CallOptions(fixed_rows=ROWS))
    for wish in WISHES:
        assert_exact(alone(model, wish), references(tiny, wish))
