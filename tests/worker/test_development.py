"""What a job knows of its pictures."""

import pytest

from contract.identity import new_job_id
from contract.request import JobRequest
from tests.worker.conftest import MODEL
from worker.development import Development, PictureKey
from worker.engine.engine import Engine
from worker.engine.sampler import build_table

STEPS = 6
REQUEST = JobRequest(
    prompt="a red circle", model=MODEL, seed=1, width=64, height=64, steps=STEPS, images=3
)


def test_steps_count_what_runs_what_waits_and_what_is_done(engine: Engine) -> None:
    """Or a job that another worker had further would seem to fall back."""
    engine = Engine(engine.model, engine.budget)
    table = build_table("euler", STEPS, engine.model.scheduler_config)
    first = Development(new_job_id(), REQUEST)
    for picture in first.pictures(table, engine):
        engine.add(picture)
    for _ in range(4):
        engine.step()
    at = engine.checkpoints()
    assert first.steps_done(at) == 3 * 4
    begun = {key.n: at[key].to_bytes(first.fingerprint) for key in first.keys}

    second = Development(first.job_id, REQUEST, begun)
    assert not second.has_pictures
    second.pictures(table, engine)
    assert second.steps_done({}) == 3 * 4
    assert second.share({}) == pytest.approx(4 / STEPS)
    done, running, _waiting = (PictureKey(second.job_id, n) for n in range(3))
    second.undeveloped.discard(done)
    engine.step()
    assert second.steps_done({running: engine.checkpoints()[running]}) == STEPS + 5 + 4


def test_pictures_beyond_their_guidance_take_one_row(engine: Engine) -> None:
    engine = Engine(engine.model, engine.budget)
    request = REQUEST.model_copy(update={"guidance_stop": 0.5})
    development = Development(new_job_id(), request)
    assert development.rows({}) == 2 * 3
    table = build_table("euler", STEPS, engine.model.scheduler_config)
    for picture in development.pictures(table, engine):
        engine.add(picture)
    for step in range(STEPS):
        assert development.rows(engine.rows_ahead()) == (2 * 3 if step < 3 else 3)
        engine.step()


def test_what_no_checkpoint_has_kept_is_counted_in_the_rows_that_it_had(engine: Engine) -> None:
    request = REQUEST.model_copy(update={"guidance_stop": 0.5, "images": 1})
    table = build_table("euler", STEPS, engine.model.scheduler_config)
    for told, row_steps in ((0.0, 0), (2 / STEPS, 4), (5 / STEPS, 8)):
        development = Development(new_job_id(), request, told=told)
        development.pictures(table, engine)
        assert development.forgone == row_steps


def test_a_picture_that_is_only_decoded_takes_no_row(engine: Engine) -> None:
    development = Development(new_job_id(), REQUEST)
    development.note_denoised(development.keys[1])
    assert development.rows({}) == 2 * 2
    assert development.undeveloped == set(development.keys)
