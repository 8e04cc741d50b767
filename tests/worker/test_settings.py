from pathlib import Path

import pytest
import torch
from torch._inductor import config as inductor

from contract.errors import BadCheckpoint, BadSetting
from contract.settings import load_settings
from worker.compilation import CACHE_VARIABLE
from worker.settings import WorkerSettings
from worker.start import start_engine


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_THREADS", "many"),
        ("DARKROOM_DTYPE", "float8"),
        ("DARKROOM_MAX_ROWS", "1"),
        ("DARKROOM_WORKER_NAME", "a name with spaces"),
        ("REDIS_URL", "http://127.0.0.1"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting, match=f"^{name}: "):
        load_settings(WorkerSettings)


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_WORKER_NAME", "from-outside")
    assert load_settings(WorkerSettings, worker_name="given").worker_name == "given"
    assert load_settings(WorkerSettings, worker_name=None).worker_name == "from-outside"


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(BadSetting, match="DARKROOM_DTYPE"):
        start_engine(WorkerSettings(device="cpu", dtype="float16", threads=1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its own
def test_a_machine_without_a_compiler_is_told_so(
    settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By a function that is compiled sooner than a U-Net."""
    small = torch.compile(torch.sin)
    monkeypatch.setenv(CACHE_VARIABLE, "")  # and as it was, afterwards
    monkeypatch.setattr("worker.compilation.unet_seconds", lambda *_, **__: small(torch.zeros(2)))
    with (
        inductor.patch({"cpp.cxx": ("no-compiler",)}),
        pytest.raises(BadSetting, match=r"^DARKROOM_COMPILE is true, .* set it to false\.$"),
    ):
        start_engine(settings.model_copy(update={"compile": True, "compile_cache": tmp_path}))


def test_more_fixed_rows_than_are_ever_used_are_refused(settings: WorkerSettings) -> None:
    fixed = settings.model_copy(update={"fixed_rows": 17})
    with pytest.raises(BadSetting, match=r"^DARKROOM_FIXED_ROWS is 17, more than the 16 of "):
        start_engine(fixed)


def test_fixed_rows_are_not_promised_of_what_is_compiled_for_a_cpu(
    settings: WorkerSettings,
) -> None:
    both = settings.model_copy(update={"fixed_rows": 2, "compile": True})
    with pytest.raises(BadSetting, match=r"^DARKROOM_FIXED_ROWS and DARKROOM_COMPILE are both set"):
        start_engine(both)


def test_a_checkpoint_that_is_not_there_is_named(settings: WorkerSettings) -> None:
    missing = settings.checkpoint.parent / "nowhere"
    with pytest.raises(BadCheckpoint, match=r"nowhere does not exist\. DARKROOM_CHECKPOINT"):
        start_engine(settings.model_copy(update={"checkpoint": missing}))


def test_the_row_budget_is_measured_unless_it_is_set(settings: WorkerSettings) -> None:
    assert start_engine(settings).budget.native_rows == 16
    measured = start_engine(settings.model_copy(update={"max_rows": None}))
    assert measured.budget.native_rows >= 2
