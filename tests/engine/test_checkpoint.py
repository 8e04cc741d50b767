"""A picture that is interrupted and resumed by another engine is the same picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contract.samplers import SAMPLERS
from tests.engine.company import PIXEL_LIMIT, pixel_error
from tests.reference import Wish
from worker.engine import checkpoint
from worker.engine.budget import RowBudget
from worker.engine.checkpoint import Checkpoint, fingerprint_of, read_checkpoint
from worker.engine.engine import Engine
from worker.engine.model import Model
from worker.engine.picture import Picture

STEPS = 6


def engine_of(model: Model) -> Engine:
    return Engine(model, RowBudget(native_rows=8, native_shape=model.native_shape))


def finish(engine: Engine) -> dict[object, NDArray[np.uint8]]:
    made = {}
    while not engine.is_idle:
        for developed in engine.step().developed:
            made[developed.key] = developed.pixels
    return made


def interrupted(engine: Engine, picture: Picture, after: int) -> Picture:
    """The picture as another process would find it, after so many model evaluations."""
    engine.add(picture)
    for _ in range(after):
        engine.step()
    checkpoint = engine.checkpoints()[picture.key]
    assert checkpoint.step == after
    engine.remove([picture.key])
    mark = fingerprint_of(engine.model, picture.table)
    return replace(picture, start=read_checkpoint(checkpoint.to_bytes(mark), mark))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_picture_equals_one_never_interrupted(tiny: Model, sampler: str) -> None:
    whole = Wish(sampler, STEPS, seed=3).picture(tiny, "picture")
    alone = engine_of(tiny)
    alone.add(whole)
    expected = finish(alone)["picture"]
    for after in (1, len(whole.table) - 1):
        second = engine_of(tiny)
        second.add(interrupted(engine_of(tiny), whole, after))
        assert np.array_equal(finish(second)["picture"], expected)


def test_a_resumed_picture_takes_only_the_steps_that_are_left(tiny: Model) -> None:
    whole = Wish("euler", STEPS).picture(tiny, "picture")
    second = engine_of(tiny)
    second.add(interrupted(engine_of(tiny), whole, STEPS - 2))
    assert [len(second.step().developed) for _ in range(2)] == [0, 1]


def test_a_picture_resumed_after_its_last_step_is_only_decoded(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, wide = (
        Wish("dpmpp_2m_sde", STEPS, seed=3, width=width).picture(tiny, width) for width in (64, 96)
    )
    first, second = engine_of(tiny), engine_of(tiny)
    ended = {}
    for picture in (small, wide):
        first.add(picture)
        while picture.key not in ended:
            ended |= {developed.key: developed for developed in first.step().developed}
        second.add(replace(picture, start=ended[picture.key].end))
    monkeypatch.setattr(Model, "predict", None)
    report = second.step()
    assert second.is_idle
    assert report.rows == 0
    for developed in report.developed:
        assert np.array_equal(developed.pixels, ended[developed.key].pixels)
    assert len(report.developed) == len(ended)


def test_a_picture_resumes_among_others(tiny: Model) -> None:
    wishes = [Wish("dpmpp_2m_sde", 8, seed=1), Wish("lms", 7, guidance=1.0), Wish("unipc", 9)]
    pictures = [wish.picture(tiny, key) for key, wish in enumerate(wishes)]
    together = engine_of(tiny)
    for picture in pictures:
        together.add(picture)
    for _ in range(4):
        together.step()
    states = together.checkpoints()
    expected = finish(together)
    other = engine_of(tiny)
    other.add(Wish("ddim", 3, seed=9).picture(tiny, "other"))
    other.step()
    for picture in pictures:
        other.add(replace(picture, start=states[picture.key]))
    made = finish(other)
    for key in expected:
        assert pixel_error(made[key], expected[key]) <= PIXEL_LIMIT


def test_a_checkpoint_holds_no_step_that_comes_after_it(tiny: Model) -> None:
    engine = engine_of(tiny)
    picture = Wish("euler", STEPS).picture(tiny, "picture")
    engine.add(picture)
    engine.step()
    before = engine.checkpoints()["picture"]
    kept = before.latents.clone()
    engine.step()
    assert before.step == 1
    assert torch.equal(before.latents, kept)


@pytest.fixture
def taken(tiny: Model) -> Checkpoint:
    engine = engine_of(tiny)
    engine.add(Wish("euler", STEPS).picture(tiny, "picture"))
    engine.step()
    return engine.checkpoints()["picture"]


def test_a_checkpoint_of_another_model_table_or_engine_is_not_resumed(
    tiny: Model, taken: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Wish("euler", STEPS).picture(tiny, "picture")
    mark = fingerprint_of(tiny, picture.table)
    content = taken.to_bytes(mark)
    assert read_checkpoint(content, mark) is not None
    other_table = Wish("euler", STEPS + 1).picture(tiny, "picture").table
    other_model = replace(tiny, fingerprint="another")
    other_dtype = replace(tiny, dtype=torch.bfloat16)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "code_fingerprint", lambda: "of another engine")
        other_engine = fingerprint_of(tiny, picture.table)
    for other in (
        other_engine,
        fingerprint_of(tiny, other_table),
        fingerprint_of(other_model, picture.table),
        fingerprint_of(other_dtype, picture.table),
    ):
        assert read_checkpoint(content, other) is None


def test_a_damaged_checkpoint_is_not_resumed(taken: Checkpoint) -> None:
    mark = bytes(32)
    content = taken.to_bytes(mark)
    for damaged in (b"", content[:100], content[:-1], b"x" * len(content)):
        assert read_checkpoint(damaged, mark) is None
