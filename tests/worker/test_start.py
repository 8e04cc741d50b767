"""What memory there is decides what a worker offers."""

import pytest

from contract.errors import BadSetting, DarkroomError
from contract.request import GenerateRequest
from contract.resolution import resolve
from worker.announcement import model_card
from worker.development import TILED, Development
from worker.engine.engine import Engine
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.start_phases import StartPhases, process_age_s
from worker.tables import TableCache


def started(settings: WorkerSettings, memory_mb: int, phases: StartPhases | None = None) -> Engine:
    changes = {"memory_mb": memory_mb, "prompt_cache": 0, "max_side": 512}
    return start_engine(settings.model_copy(update=changes), phases)


def test_a_start_says_how_long_what_took(settings: WorkerSettings) -> None:
    phases = StartPhases()
    started(settings, 1000, phases)
    assert list(phases.seconds) == [
        "text_encoder",
        "unet",
        "vae",
        "fingerprint",
        "memory",
        "warm_up",
    ]
    assert phases.total_s == pytest.approx(sum(phases.seconds.values()))
    assert "unet 0." in str(phases)


def test_a_process_knows_its_age() -> None:
    age = process_age_s()
    assert age is None or 0 < age < 24 * 3600


def test_a_model_that_does_not_fit_stops_the_start_with_numbers(settings: WorkerSettings) -> None:
    with pytest.raises(BadSetting, match=r"64x64 pixels takes 0\.00 GB of memory, and DARKROOM_ME"):
        start_engine(settings.model_copy(update={"memory_mb": 1}))


def test_what_there_is_no_room_for_is_not_offered(settings: WorkerSettings) -> None:
    little, ample = started(settings, 6), started(settings, 1000)
    card = model_card(little, settings.model_copy(update={"max_side": 512}))
    assert 64 <= card.max_side < 512
    assert model_card(ample, settings.model_copy(update={"max_side": 512})).max_side == 512
    with pytest.raises(DarkroomError, match=str(card.max_side)):
        resolve(GenerateRequest(prompt="x", width=512, height=512), card)


def test_a_job_whose_pictures_are_tiled_says_so(settings: WorkerSettings) -> None:
    engine = started(settings, 6)
    side = model_card(engine, settings.model_copy(update={"max_side": 512})).max_side // 8 * 8
    for width, expected in ((64, []), (side, [TILED])):
        request = GenerateRequest(prompt="x", width=width, height=width, steps=3)
        job = Development("id", resolve(request, model_card(engine, settings)))
        tables = TableCache(engine.model.scheduler_config)
        job.pictures(tables.build(job.request.sampler, job.request.steps), engine)
        assert job._warnings == expected
