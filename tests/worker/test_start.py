"""What memory there is decides what a worker offers."""

import pytest

from contract.errors import BadSetting, UnsupportedSize
from contract.request import GenerateRequest
from contract.resolution import resolve
from contract.workers import ModelCard
from worker.alone import develop_alone
from worker.announcement import model_card
from worker.development import TILED, Development
from worker.engine.engine import Engine
from worker.settings import WorkerSettings
from worker.start import start_engine
from worker.start_phases import StartPhases, process_age_s
from worker.tables import TableCache

SIDE = 512


@pytest.fixture(scope="module")
def bounded(settings: WorkerSettings) -> WorkerSettings:
    return settings.model_copy(update={"memory_mb": 6, "prompt_cache": 0, "max_side": SIDE})


@pytest.fixture(scope="module")
def phases() -> StartPhases:
    return StartPhases()


@pytest.fixture(scope="module")
def little(bounded: WorkerSettings, phases: StartPhases) -> Engine:
    """With room for pictures of the native size, and of some that are larger."""
    return start_engine(bounded, phases)


@pytest.fixture(scope="module")
def small_card(little: Engine, bounded: WorkerSettings) -> ModelCard:
    return model_card(little, bounded)


def test_a_start_says_how_long_what_took(little: Engine, phases: StartPhases) -> None:
    parts = ["text_encoder", "unet", "vae", "fingerprint", "memory", "warm_up"]
    assert list(phases.seconds) == parts
    assert phases.total_s == pytest.approx(sum(phases.seconds.values()))
    assert f"vae {phases.seconds['vae']:.1f} s" in str(phases)


def test_a_process_knows_its_age() -> None:
    age = process_age_s()
    assert age is None or 0 < age < 24 * 3600


def test_a_model_that_does_not_fit_stops_the_start_with_numbers(settings: WorkerSettings) -> None:
    said = r"64x64 pixels takes \d+ MB of memory, and DARKROOM_MEMORY_MB is 1\."
    with pytest.raises(BadSetting, match=said):
        start_engine(settings.model_copy(update={"memory_mb": 1}))


def test_what_there_is_no_room_for_is_not_offered(
    engine: Engine, bounded: WorkerSettings, small_card: ModelCard
) -> None:
    assert 64 <= small_card.max_side < SIDE
    with pytest.raises(UnsupportedSize, match=f"to {small_card.max_side} pixels"):
        resolve(GenerateRequest(prompt="x", width=SIDE, height=SIDE), small_card)


def test_a_job_whose_pictures_are_tiled_says_so_in_its_result(
    little: Engine, small_card: ModelCard
) -> None:
    tables = TableCache(little.model.scheduler_config)
    for side, expected in ((64, []), (small_card.max_side, [TILED])):
        request = GenerateRequest(prompt="x", width=side, height=side, steps=2)
        job = Development("id", resolve(request, small_card))
        stored: list[bytes] = []

        def keep(content: bytes, stored: list[bytes] = stored) -> str:
            stored.append(content)
            return "0" * 64

        assert develop_alone(little, tables, job, keep).warnings == expected
        assert len(stored) == 1
