"""The report of a GPU, on tiny models on the CPU."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = ["ceilings", "unets", "decoders", "attention", "kernels"]
SMALL = ["--small", "--no-compile"]


@pytest.fixture(scope="module")
def gpu_report() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        patch.chdir(ROOT)
        yield import_module("gpu_report")


@pytest.fixture(scope="module")
def files(gpu_report: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The JSON and the page of a report."""
    folder = tmp_path_factory.mktemp("report")
    table, page = folder / "report.json", folder / "report.md"
    written = ["--json", str(table), "--page", str(page)]
    gpu_report.main([*SMALL, *written, "--only", *SECTIONS])
    return table, page


def test_every_section_that_ran_stands_on_the_page(files: tuple[Path, Path]) -> None:
    found: dict[str, Any] = json.loads(files[0].read_text())
    page = files[1].read_text()
    assert set(SECTIONS) <= found.keys()
    assert not [each for each in SECTIONS if "failed" in found[each]]
    for heading in ("U-Net calls", "Decoder calls", "Ways to compute attention", "Kernels"):
        assert f"## {heading}" in page
    assert "Not measured" not in page


def test_a_report_is_a_table_for_the_simulated_device(
    gpu_report: ModuleType, files: tuple[Path, Path]
) -> None:
    times = import_module("simulated.step_times").StepTimes.read(files[0], "small")
    assert times.cells == 8
    assert times.step_s(2) > 0
    assert times.decode_s(1) > 0


def test_what_there_is_no_time_for_is_named(gpu_report: ModuleType) -> None:
    setting = gpu_report.choose(gpu_report.parse([*SMALL]))
    *_, last = gpu_report.run(["ceilings", "unets"], setting, ends_at=0.0)
    assert last["left out"] == ["ceilings", "unets"]
    assert "Left out, for want of time" in gpu_report.page_of(last)


def test_a_section_that_fails_is_named_and_the_others_go_on(
    gpu_report: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(setting: object) -> dict[str, object]:
        raise RuntimeError("out of luck")

    section = gpu_report.Section(fail, 0.0)
    monkeypatch.setattr(gpu_report, "SECTIONS", {**gpu_report.SECTIONS, "unets": section})
    setting = gpu_report.choose(gpu_report.parse([*SMALL]))
    *_, last = gpu_report.run(["unets", "ceilings"], setting, ends_at=float("inf"))
    assert "out of luck" in last["unets"]["failed"]
    assert last["ceilings"]["matmul_tflops"] > 0
    assert "Failed: unets" in gpu_report.page_of(last)
